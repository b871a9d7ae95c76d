import type { AppSpec, DesiredInstance } from '@alto/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';

/** All of an app's specification that its instances are made of: everything but their number. */
export type Template = Omit<AppSpec, 'replicas' | 'bundle'>;

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

  @Column('jsonb')
  template!: Template;

  @Column('jsonb', { nullable: true })
  bundle!: DesiredInstance['bundle'];

  /** Of the template; apart, so that planning need not read the whole of it. */
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
