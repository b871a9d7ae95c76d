import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';

/** One row. Locked until commit by whoever takes the next generation, so that generations commit in their order. */
@Entity('endpoint_counter')
export class EndpointCounterEntity {
  @PrimaryColumn('integer')
  id!: number;

  @Column('bigint', { transformer: bigintAsNumber })
  generation!: number;

  /** Tombstones up to this generation have been removed: who has applied less must read everything. */
  @Column('bigint', { transformer: bigintAsNumber })
  pruned!: number;
}
