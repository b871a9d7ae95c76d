import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';
import type { InstanceState } from './instance.state';

@Entity('instance')
export class InstanceEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  app!: string;

  /** Of the app; it never changes. */
  @Column('text')
  appName!: string;

  @Column('text')
  project!: string;

  @Column('text')
  revision!: string;

  @Column('integer')
  revisionNumber!: number;

  @Column('text', { nullable: true })
  node!: string | null;

  @Column('text')
  state!: InstanceState;

  @Column('text')
  reason!: string;

  @Column('boolean')
  retiring!: boolean;

  @Column('jsonb', { nullable: true })
  address!: { ip: string; port: number } | null;

  /** Of each port beside `http`, by name. */
  @Column('jsonb')
  ports!: Record<string, { ip: string; port: number }>;

  @Column('integer')
  restarts!: number;

  @Column('integer', { nullable: true })
  exitCode!: number | null;

  /** Grows with every change of the row: writers compare it, and events carry it. */
  @Column('integer')
  version!: number;

  /** Generation of its node's set that first held what the agent is now told of it. */
  @Column('bigint', { transformer: bigintAsNumber })
  setGeneration!: number;

  @Column('bigint', { nullable: true, transformer: bigintAsNumber })
  joinedGeneration!: number | null;

  @Column('bigint', { nullable: true, transformer: bigintAsNumber })
  leftGeneration!: number | null;

  @Column('timestamptz', { nullable: true })
  availableAt!: Date | null;

  @Column('timestamptz', { nullable: true })
  drainUntil!: Date | null;

  /** When it entered its state. */
  @Column('timestamptz')
  stateAt!: Date;

  @Column('timestamptz')
  createdAt!: Date;

  @Column('timestamptz')
  updatedAt!: Date;
}
