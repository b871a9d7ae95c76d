import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Quotas1764000000002 implements MigrationInterface {
  readonly name = 'Quotas1764000000002';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE project_quotas (
        project_id text PRIMARY KEY REFERENCES projects (id),
        limits jsonb NOT NULL,
        version integer NOT NULL,
        updated_at timestamptz NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE project_quotas');
  }
}
