import type { Migration } from '@alto/platform';
import type { QueryRunner } from 'typeorm';

const statements = [
  `CREATE TABLE indexes (
     project text NOT NULL,
     name text COLLATE "C" NOT NULL,
     last_version bigint NOT NULL,
     created_at timestamptz NOT NULL,
     PRIMARY KEY (project, name)
   )`,
  `CREATE TABLE documents (
     project text NOT NULL,
     index_name text COLLATE "C" NOT NULL,
     document text COLLATE "C" NOT NULL,
     fields text NOT NULL,
     words tsvector NOT NULL,
     version bigint NOT NULL,
     updated_at timestamptz NOT NULL,
     PRIMARY KEY (project, index_name, document),
     FOREIGN KEY (project, index_name) REFERENCES indexes (project, name)
   )`,
  'CREATE INDEX documents_words ON documents USING gin (words)',
];

export class Documents implements Migration {
  readonly name = 'Search0001Documents';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}
