import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';

@Entity('proxy')
export class ProxyEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('bigint', { transformer: bigintAsNumber })
  appliedGeneration!: number;

  /** Instances out of rotation that still have requests in flight; null when the proxy does not say. */
  @Column('jsonb', { nullable: true })
  busy!: string[] | null;

  /** Reports, whatever any clock says. */
  @Column('bigint', { transformer: bigintAsNumber })
  heartbeats!: number;

  @Column('timestamptz')
  lastSeenAt!: Date;
}
