import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('secret')
export class SecretEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  project!: string;

  @Column('text')
  name!: string;

  /** Of the newest value; never given twice while a revision remembers one. 0 before the first value. */
  @Column('integer')
  version!: number;

  /** It has no values any more, and is remembered for its version: revisions that can be gone back to name older ones. */
  @Column('boolean')
  deleted!: boolean;

  @Column('timestamptz')
  createdAt!: Date;

  @Column('timestamptz')
  updatedAt!: Date;
}
