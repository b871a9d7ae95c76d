import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';
import type { EndpointView } from '../placement/snapshot';

/** What proxies are told of one app. It outlives its app as a tombstone, so that proxies learn of the end. */
@Entity('endpoint_set')
export class EndpointSetEntity {
  @PrimaryColumn('text')
  app!: string;

  @Column('text')
  appName!: string;

  @Column('text')
  project!: string;

  @Column('text')
  projectName!: string;

  @Column('bigint', { transformer: bigintAsNumber })
  generation!: number;

  @Column('boolean')
  deleted!: boolean;

  @Column('jsonb')
  endpoints!: EndpointView[];

  @Column('timestamptz')
  updatedAt!: Date;
}
