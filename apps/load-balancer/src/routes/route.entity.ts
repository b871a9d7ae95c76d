import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('route')
export class RouteEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  project!: string;

  @Column('text')
  name!: string;

  /** Unique in the whole cluster. */
  @Column('text')
  host!: string;

  /** Name of an app of the project, which need not exist yet. */
  @Column('text')
  app!: string;

  @Column('integer')
  version!: number;

  @Column('timestamptz')
  createdAt!: Date;

  @Column('timestamptz')
  updatedAt!: Date;
}
