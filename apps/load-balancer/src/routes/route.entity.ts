import type { RouteDetails } from '../traffic/known';
import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('route')
export class RouteEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  project!: string;

  @Column('text')
  name!: string;

  /** Of one project alone; together with the path unique. */
  @Column('text')
  host!: string;

  @Column('text')
  path!: string;

  /** Name of an app of the project, which need not exist yet; the first of several; empty for a redirect. */
  @Column('text')
  app!: string;

  @Column('json', { nullable: true })
  details!: RouteDetails | null;

  @Column('integer')
  version!: number;

  @Column('timestamptz')
  createdAt!: Date;

  @Column('timestamptz')
  updatedAt!: Date;
}
