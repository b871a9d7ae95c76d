import type { AppSpec, DesiredInstance } from '@alto/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber, withPorts } from '../columns';

/** All of an app's specification that its instances are made of: everything but their number and how they are rolled out. */
export type Template = Omit<
  AppSpec,
  'replicas' | 'bundle' | 'strategy' | 'healthyMs' | 'progressDeadlineMs' | 'autoRevert'
>;

/** What makes a new revision of an unchanged specification. */
export interface Stamp {
  /** Restarts that users have asked for. */
  readonly restart: number;
  /** Version of each secret that the specification names. */
  readonly secrets: Readonly<Record<string, number>>;
}

/** Never changed once written. */
@Entity('revision')
export class RevisionEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  app!: string;

  /** Counts up within the app and is never given twice. */
  @Column('integer')
  number!: number;

  /** SHA-256 of the content, hex: equal content is the same revision. */
  @Column('text')
  hash!: string;

  @Column('jsonb', { transformer: withPorts })
  template!: Template;

  @Column('jsonb', { nullable: true })
  bundle!: DesiredInstance['bundle'];

  @Column('jsonb')
  stamp!: Stamp;

  /** Of the template, as are the resources; apart, so that planning need not read the whole of it. */
  @Column('jsonb', { transformer: withPorts })
  placement!: Pick<AppSpec, 'constraints' | 'spread' | 'ports'>;

  @Column('integer')
  cpuMillis!: number;

  @Column('bigint', { transformer: bigintAsNumber })
  memoryBytes!: number;

  /** Bytes that an instance of it takes in an agent's instructions. */
  @Column('integer')
  setBytes!: number;

  @Column('timestamptz')
  createdAt!: Date;
}
