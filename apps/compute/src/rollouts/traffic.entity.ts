import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';

/** Requests of one instance through one proxy since a rollout began. Kept until that is over, also when the instance is gone. */
@Entity('rollout_traffic')
export class TrafficEntity {
  @PrimaryColumn('text')
  rollout!: string;

  @PrimaryColumn('text')
  instance!: string;

  @PrimaryColumn('text')
  proxy!: string;

  /** Id of the instance's revision. */
  @Column('text')
  revision!: string;

  @Column('bigint', { transformer: bigintAsNumber })
  requests!: number;

  @Column('bigint', { transformer: bigintAsNumber })
  failures!: number;

  /** What the proxy said last: it counts from when it first saw the instance, and anew when it was restarted. */
  @Column('bigint', { transformer: bigintAsNumber })
  reportedRequests!: number;

  @Column('bigint', { transformer: bigintAsNumber })
  reportedFailures!: number;
}
