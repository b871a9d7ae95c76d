import type { QueryRunner } from 'typeorm';

/** Stretches that the clock was set forward over, which are held against nobody. */
export class ClockSkips0009 {
  readonly name = 'ClockSkips0009';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TABLE clock_skip (
      from_at timestamptz NOT NULL,
      until_at timestamptz NOT NULL,
      PRIMARY KEY (from_at, until_at)
    )`);
  }
}
