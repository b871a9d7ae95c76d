import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('indexes')
export class IndexEntity {
  @PrimaryColumn('text')
  project!: string;

  @PrimaryColumn('text')
  name!: string;

  /** Version of the newest change in the index. Whoever changes a document locks the row and takes the next one. */
  @Column('bigint')
  lastVersion!: number;

  @Column('timestamptz')
  createdAt!: Date;
}
