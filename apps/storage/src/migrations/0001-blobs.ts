import type { Migration } from '@alto/platform';
import type { QueryRunner } from 'typeorm';

/** Ids are compared byte by byte (COLLATE "C"): they sort by time only so. */
const statements = [
  `CREATE TABLE volumes (
     id text COLLATE "C" PRIMARY KEY,
     created_at timestamptz NOT NULL
   )`,
  `CREATE TABLE volume_servers (
     instance text PRIMARY KEY,
     volume text COLLATE "C" NOT NULL,
     seen_at timestamptz NOT NULL
   )`,
  'CREATE INDEX volume_servers_by_volume ON volume_servers (volume, seen_at)',
  `CREATE TABLE blobs (
     id text COLLATE "C" PRIMARY KEY,
     project text NOT NULL,
     volume text COLLATE "C" NOT NULL,
     state text NOT NULL CHECK (state IN ('intent', 'live', 'condemned')),
     content_bytes bigint,
     sha256 text,
     lease_expires_at timestamptz NOT NULL,
     created_at timestamptz NOT NULL,
     CHECK (state <> 'live' OR (content_bytes IS NOT NULL AND sha256 IS NOT NULL))
   )`,
  `CREATE INDEX blobs_intent ON blobs (volume, lease_expires_at) WHERE state = 'intent'`,
  `CREATE INDEX blobs_condemned ON blobs (volume, id) WHERE state = 'condemned'`,
  `CREATE TABLE bundles (
     id text COLLATE "C" PRIMARY KEY,
     project text NOT NULL,
     sha256 text NOT NULL,
     blob text COLLATE "C" NOT NULL REFERENCES blobs (id),
     size_bytes bigint NOT NULL,
     version integer NOT NULL,
     created_at timestamptz NOT NULL,
     CONSTRAINT bundles_content UNIQUE (project, sha256)
   )`,
  'CREATE INDEX bundles_by_project ON bundles (project, id)',
  'CREATE INDEX bundles_by_blob ON bundles (blob)',
  `CREATE TABLE signing_keys (
     id text PRIMARY KEY,
     secret bytea NOT NULL,
     created_at timestamptz NOT NULL
   )`,
];

export class Blobs implements Migration {
  readonly name = 'Storage0001Blobs';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}
