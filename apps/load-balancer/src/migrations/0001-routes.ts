import type { QueryRunner } from 'typeorm';

export class LoadBalancer0001Routes {
  readonly name = 'LoadBalancer0001Routes';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}

const statements = [
  `CREATE TABLE route (
    id text PRIMARY KEY,
    project text NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    app text NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT route_name UNIQUE (project, name),
    CONSTRAINT route_host UNIQUE (host)
  )`,
  `CREATE TABLE route_counter (id integer PRIMARY KEY, generation integer NOT NULL)`,
  `INSERT INTO route_counter (id, generation) VALUES (1, 0)`,
];
