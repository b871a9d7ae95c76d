import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Every gateway asks every moment which credentials for NATS were revoked before their time. */
export class RevokedSubscribers1764200000001 implements MigrationInterface {
  readonly name = 'RevokedSubscribers1764200000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query("CREATE INDEX api_keys_subscribers ON api_keys (expires_at) WHERE kind = 'nats'");
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX api_keys_subscribers');
  }
}
