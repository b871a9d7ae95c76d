import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';
import type { Intake } from '../placement/snapshot';

@Entity('node')
export class NodeEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  name!: string;

  @Column('text')
  agentVersion!: string;

  @Column('integer')
  cpuMillis!: number;

  @Column('bigint', { transformer: bigintAsNumber })
  memoryBytes!: number;

  @Column('text')
  state!: 'ready' | 'suspect' | 'lost';

  /** What an operator wants of it. */
  @Column('text')
  intake!: Intake;

  @Column('jsonb')
  labels!: Record<string, string>;

  /** Order of the agent's reports: those that are not after the last one are refused. */
  @Column('bigint', { transformer: bigintAsNumber })
  incarnation!: number;

  @Column('bigint', { transformer: bigintAsNumber })
  sequence!: number;

  /** Accepted reports, whatever any clock says. */
  @Column('bigint', { transformer: bigintAsNumber })
  heartbeats!: number;

  /** Of the set of instances that the agent is to run. */
  @Column('bigint', { transformer: bigintAsNumber })
  generation!: number;

  /** Fencing number of the lease under which the set was last changed. */
  @Column('bigint', { transformer: bigintAsNumber })
  fencing!: number;

  /** Ids of the master keys that it has, oldest first; null when it does not say. */
  @Column('jsonb', { nullable: true })
  masterKeys!: string[] | null;

  /** Ids of those without which what lies on its disk could not be started. */
  @Column('jsonb')
  sealedWith!: string[];

  @Column('integer')
  version!: number;

  @Column('timestamptz')
  lastSeenAt!: Date;

  @Column('timestamptz')
  createdAt!: Date;
}
