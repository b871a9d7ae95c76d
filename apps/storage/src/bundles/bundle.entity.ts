import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('bundles')
export class BundleEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  project!: string;

  /** Unique within the project: the same content is the same bundle. */
  @Column('text')
  sha256!: string;

  @Column('text')
  blob!: string;

  @Column('bigint')
  sizeBytes!: number;

  @Column('integer')
  version!: number;

  @Column('timestamptz')
  createdAt!: Date;
}
