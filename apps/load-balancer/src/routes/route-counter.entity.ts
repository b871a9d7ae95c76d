import { Column, Entity, PrimaryColumn } from 'typeorm';

/** One row. Each change of any route locks it and adds one, so that load balancers see at a glance whether to read. */
@Entity('route_counter')
export class RouteCounterEntity {
  @PrimaryColumn('integer')
  id!: number;

  @Column('integer')
  generation!: number;
}
