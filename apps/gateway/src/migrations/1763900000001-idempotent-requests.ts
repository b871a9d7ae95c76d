import type { Migration } from '@alto/platform';
import type { QueryRunner } from 'typeorm';

/** Answers of POSTs with an `Idempotency-Key`. */
export class IdempotentRequests1763900000001 implements Migration {
  readonly name = 'IdempotentRequests1763900000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE idempotent_requests (
        name text PRIMARY KEY,
        request_hash text NOT NULL,
        attempt text NOT NULL,
        at timestamptz NOT NULL,
        busy_until timestamptz NOT NULL,
        answer bytea
      )`);
    await runner.query('CREATE INDEX idempotent_requests_at ON idempotent_requests (at)');
  }
}
