import { Entity, PrimaryColumn } from 'typeorm';

/** A stretch that the clock was set forward over. Several processes may note the same one, a little apart. */
@Entity('clock_skip')
export class ClockSkipEntity {
  @PrimaryColumn('timestamptz')
  fromAt!: Date;

  @PrimaryColumn('timestamptz')
  untilAt!: Date;
}
