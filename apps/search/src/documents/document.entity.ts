import { Column, Entity, PrimaryColumn } from 'typeorm';

/** The column `words` (what is searched) is written and read by SQL alone. */
@Entity('documents')
export class DocumentEntity {
  @PrimaryColumn('text')
  project!: string;

  @PrimaryColumn('text')
  indexName!: string;

  /** Chosen by the caller. */
  @PrimaryColumn('text')
  document!: string;

  /** JSON as text: it comes back exactly as it was sent, which jsonb would not keep. */
  @Column('text')
  fields!: string;

  @Column('bigint')
  version!: number;

  @Column('timestamptz')
  updatedAt!: Date;
}
