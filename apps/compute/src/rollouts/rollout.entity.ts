import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Progress } from './rollout.state';

@Entity('rollout')
export class RolloutEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  app!: string;

  /** Counts up within the app. */
  @Column('integer')
  number!: number;

  @Column('jsonb')
  progress!: Progress;

  @Column('timestamptz')
  startedAt!: Date;

  @Column('timestamptz', { nullable: true })
  endedAt!: Date | null;
}
