import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { BlobState } from './blob.state';

@Entity('blobs')
export class BlobEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  project!: string;

  /** The volume whose disk holds the file. */
  @Column('text')
  volume!: string;

  @Column('text')
  state!: BlobState;

  /** Null while the content is arriving. */
  @Column('bigint', { nullable: true })
  contentBytes!: number | null;

  /** Lower-case hex; null while the content is arriving. */
  @Column('text', { nullable: true })
  sha256!: string | null;

  /** When an intent counts as dead unless it is renewed. */
  @Column('timestamptz')
  leaseExpiresAt!: Date;

  @Column('timestamptz')
  createdAt!: Date;
}
