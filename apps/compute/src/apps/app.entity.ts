import type { AppSpec } from '@alto/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import { withPorts } from '../columns';
import type { AppStatus } from '../placement/snapshot';

@Entity('app')
export class AppEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  project!: string;

  /** As the gateway called it when the app was last put; part of the app's default host name. */
  @Column('text')
  projectName!: string;

  @Column('text')
  name!: string;

  @Column('jsonb', { transformer: withPorts })
  spec!: AppSpec;

  /** Of the specification; apart, so that planning need not read the whole of it. */
  @Column('integer')
  replicas!: number;

  /** Id of the revision that instances should be of. */
  @Column('text')
  revision!: string;

  @Column('integer')
  revisionNumber!: number;

  /** Id of the last revision that was seen healthy: what a failed rollout goes back to. */
  @Column('text', { nullable: true })
  goodRevision!: string | null;

  /** Id of the newest rollout. */
  @Column('text', { nullable: true })
  rollout!: string | null;

  @Column('integer')
  version!: number;

  @Column('boolean')
  deleting!: boolean;

  @Column('jsonb')
  status!: AppStatus;

  @Column('timestamptz')
  createdAt!: Date;

  @Column('timestamptz')
  updatedAt!: Date;
}

/** What planning wants to know of an app: all but what is large. */
export const outlineColumns = {
  id: true,
  name: true,
  version: true,
  deleting: true,
  status: true,
  replicas: true,
  revision: true,
  goodRevision: true,
  rollout: true,
} as const;
export type AppOutline = Pick<AppEntity, keyof typeof outlineColumns>;
