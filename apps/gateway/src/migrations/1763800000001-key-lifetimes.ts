import type { MigrationInterface, QueryRunner } from 'typeorm';

const statements = [
  'ALTER TABLE api_keys ADD COLUMN expires_at timestamptz',
  'ALTER TABLE api_keys ADD COLUMN scopes jsonb',
  'ALTER TABLE api_keys ADD COLUMN previous_hash text',
  'ALTER TABLE api_keys ADD COLUMN previous_valid_until timestamptz',
];

export class KeyLifetimes1763800000001 implements MigrationInterface {
  readonly name = 'KeyLifetimes1763800000001';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const column of ['expires_at', 'scopes', 'previous_hash', 'previous_valid_until'])
      await runner.query(`ALTER TABLE api_keys DROP COLUMN ${column}`);
  }
}
