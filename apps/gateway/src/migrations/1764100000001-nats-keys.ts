import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Keys are of one kind or the other: those that were there sign in to the API. */
export class NatsKeys1764100000001 implements MigrationInterface {
  readonly name = 'NatsKeys1764100000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query("ALTER TABLE api_keys ADD COLUMN kind text NOT NULL DEFAULT 'api'");
    await runner.query('ALTER TABLE api_keys ADD COLUMN nats_user text');
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const column of ['kind', 'nats_user']) await runner.query(`ALTER TABLE api_keys DROP COLUMN ${column}`);
  }
}
