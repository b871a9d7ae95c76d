/** The tables that the platform keeps in each service's own database. */
import type { QueryRunner } from 'typeorm';
import type { Migration, MigrationClass } from './migrations';

class Leases implements Migration {
  readonly name = 'Platform0001Leases';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE alto_lease_token (
        name text PRIMARY KEY,
        holder text NOT NULL,
        fencing bigint NOT NULL
      )`);
    await runner.query(`
      CREATE TABLE alto_lease_heartbeat (
        name text PRIMARY KEY,
        fencing bigint NOT NULL,
        expires_at timestamptz NOT NULL
      )`);
  }
}

class Outbox implements Migration {
  readonly name = 'Platform0002Outbox';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE alto_outbox (
        id text PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        resource text NOT NULL,
        resource_version bigint NOT NULL,
        subject text NOT NULL,
        body text NOT NULL,
        published_sequence bigint,
        published_stream text,
        published_at timestamptz
      )`);
    await runner.query('CREATE INDEX alto_outbox_waiting ON alto_outbox (position) WHERE published_sequence IS NULL');
    await runner.query(
      'CREATE INDEX alto_outbox_waiting_of_resource ON alto_outbox (resource, resource_version, position) WHERE published_sequence IS NULL',
    );
    await runner.query(
      'CREATE INDEX alto_outbox_published ON alto_outbox (published_sequence) WHERE published_sequence IS NOT NULL',
    );
  }
}

class Once implements Migration {
  readonly name = 'Platform0003Once';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE alto_once (
        name text PRIMARY KEY,
        operation text NOT NULL,
        answer bytea,
        at timestamptz NOT NULL
      )`);
    await runner.query('CREATE INDEX alto_once_at ON alto_once (at)');
  }
}

export const platformMigrations: readonly MigrationClass[] = [Leases, Outbox, Once];
