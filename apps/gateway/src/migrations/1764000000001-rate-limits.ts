import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `at_us`, `wanted` and `granted` are of the last time that something was taken: they carry it from the statement. */
export class RateLimits1764000000001 implements MigrationInterface {
  readonly name = 'RateLimits1764000000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE rate_limit_buckets (
        name text PRIMARY KEY,
        at_us bigint NOT NULL,
        wanted bigint NOT NULL,
        granted bigint NOT NULL,
        tat_us bigint NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE rate_limit_buckets');
  }
}
