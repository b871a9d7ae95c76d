import type { Migration } from '@alto/platform';
import type { QueryRunner } from 'typeorm';

/** Names and ids are compared byte by byte (COLLATE "C"), so that a page's cursor means the same everywhere. */
const statements = [
  `CREATE TABLE topics (
     id text COLLATE "C" PRIMARY KEY,
     project text NOT NULL,
     name text COLLATE "C" NOT NULL,
     last_sequence bigint NOT NULL,
     created_at timestamptz NOT NULL,
     CONSTRAINT topics_name UNIQUE (project, name)
   )`,
  `CREATE TABLE messages (
     topic text COLLATE "C" NOT NULL REFERENCES topics (id),
     sequence bigint NOT NULL,
     id text COLLATE "C" NOT NULL UNIQUE,
     body text NOT NULL,
     dedupe_key text,
     published_at timestamptz NOT NULL,
     PRIMARY KEY (topic, sequence)
   )`,
  'CREATE UNIQUE INDEX messages_dedupe_key ON messages (topic, dedupe_key) WHERE dedupe_key IS NOT NULL',
];

export class Topics implements Migration {
  readonly name = 'Notifications0001Topics';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}
