import type { QueryRunner } from 'typeorm';

/** Apps, their revisions and instances, the nodes they run on and the endpoint sets of proxies. */
export class Compute0001 {
  readonly name = 'Compute0001';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}

const statements = [
  `CREATE TABLE app (
    id text PRIMARY KEY,
    project text NOT NULL,
    project_name text NOT NULL,
    name text NOT NULL,
    spec jsonb NOT NULL,
    replicas integer NOT NULL,
    revision text NOT NULL,
    revision_number integer NOT NULL,
    version integer NOT NULL,
    deleting boolean NOT NULL,
    status jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT app_name UNIQUE (project, name)
  )`,
  `CREATE TABLE revision (
    id text PRIMARY KEY,
    app text NOT NULL,
    number integer NOT NULL,
    hash text NOT NULL,
    template jsonb NOT NULL,
    bundle jsonb,
    cpu_millis integer NOT NULL,
    memory_bytes bigint NOT NULL,
    set_bytes integer NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT revision_number UNIQUE (app, number),
    CONSTRAINT revision_content UNIQUE (app, hash)
  )`,
  `CREATE TABLE instance (
    id text PRIMARY KEY,
    app text NOT NULL,
    app_name text NOT NULL,
    project text NOT NULL,
    revision text NOT NULL,
    revision_number integer NOT NULL,
    node text,
    state text NOT NULL,
    reason text NOT NULL,
    retiring boolean NOT NULL,
    address jsonb,
    restarts integer NOT NULL,
    exit_code integer,
    version integer NOT NULL,
    set_generation bigint NOT NULL,
    joined_generation bigint,
    left_generation bigint,
    drain_until timestamptz,
    state_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
  )`,
  'CREATE INDEX instance_app ON instance (app, id)',
  'CREATE INDEX instance_node ON instance (node)',
  `CREATE TABLE node (
    id text PRIMARY KEY,
    name text NOT NULL,
    agent_version text NOT NULL,
    cpu_millis integer NOT NULL,
    memory_bytes bigint NOT NULL,
    state text NOT NULL,
    incarnation bigint NOT NULL,
    sequence bigint NOT NULL,
    heartbeats bigint NOT NULL,
    generation bigint NOT NULL,
    fencing bigint NOT NULL,
    version integer NOT NULL,
    last_seen_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
  )`,
  `CREATE TABLE endpoint_set (
    app text PRIMARY KEY,
    app_name text NOT NULL,
    project text NOT NULL,
    project_name text NOT NULL,
    generation bigint NOT NULL,
    deleted boolean NOT NULL,
    endpoints jsonb NOT NULL,
    updated_at timestamptz NOT NULL
  )`,
  'CREATE UNIQUE INDEX endpoint_set_generation ON endpoint_set (generation)',
  'CREATE TABLE endpoint_counter (id integer PRIMARY KEY, generation bigint NOT NULL, pruned bigint NOT NULL)',
  'INSERT INTO endpoint_counter (id, generation, pruned) VALUES (1, 0, 0)',
  `CREATE TABLE proxy (
    id text PRIMARY KEY,
    applied_generation bigint NOT NULL,
    busy jsonb,
    heartbeats bigint NOT NULL,
    last_seen_at timestamptz NOT NULL
  )`,
];
