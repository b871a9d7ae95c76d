import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Identity1763700000001 implements MigrationInterface {
  readonly name = 'Identity1763700000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE projects (
        id text PRIMARY KEY,
        name text NOT NULL UNIQUE,
        display_name text NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
      )`);
    await runner.query(`
      CREATE TABLE api_keys (
        id text PRIMARY KEY,
        project_id text REFERENCES projects (id),
        name text NOT NULL,
        role text NOT NULL,
        hash text NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        last_used_at timestamptz,
        revoked_at timestamptz,
        CHECK ((role = 'operator') = (project_id IS NULL))
      )`);
    await runner.query('CREATE INDEX api_keys_of_project ON api_keys (project_id, id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_keys');
    await runner.query('DROP TABLE projects');
  }
}
