import type { QueryRunner } from 'typeorm';

/** Secrets of projects, and their values, sealed. */
export class Secrets0003 {
  readonly name = 'Secrets0003';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}

const statements = [
  `CREATE TABLE secret (
    id text PRIMARY KEY,
    project text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    deleted boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT secret_name UNIQUE (project, name)
  )`,
  `CREATE TABLE secret_value (
    secret text NOT NULL,
    version integer NOT NULL,
    sealed text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (secret, version)
  )`,
];
