/**
 * Migrations: plain classes, in the order of their list, each in a transaction of its own that also records it.
 * Every one first locks the one row of `alto_migration_lock`: of two instances that start at once one waits for the
 * other and then finds it recorded, and a process killed midway leaves nothing behind but a rolled back transaction.
 *
 * A database may know migrations that this version does not (a newer release ran): they are left alone, which is why
 * a migration only ever expands what version N-1 uses, and contracts it a version later.
 */
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { driverError } from './failure';
import { platformMigrations } from './platform-migrations';
import { queryIn, queryOn } from './rows';

export interface Migration {
  /** Unique and never changed, e.g. `Compute0001Apps`: it is what the database remembers. */
  readonly name?: string;
  up(runner: QueryRunner): Promise<unknown>;
}

export type MigrationClass = new () => Migration;

/**
 * Runs what the database has not seen yet: the platform's own migrations, then the service's.
 * @param dataSource without limits of time that a long migration, or the wait for that of another instance, would hit
 * @returns the names of those that this call ran
 */
export async function runMigrations(dataSource: DataSource, classes: readonly MigrationClass[]): Promise<string[]> {
  const migrations = named([...platformMigrations, ...classes]);
  await createBook(dataSource);
  const known = await recorded(dataSource);
  const ran: string[] = [];
  for (const [name, migration] of migrations) {
    if (known.has(name)) continue;
    if (await dataSource.transaction((transaction) => runOne(transaction, name, migration))) ran.push(name);
  }
  return ran;
}

function named(classes: readonly MigrationClass[]): Map<string, Migration> {
  const migrations = new Map<string, Migration>();
  for (const migrationClass of classes) {
    const migration = new migrationClass();
    const { name } = migration;
    if (name === undefined || name === '') {
      throw new Error(
        `Migration ${migrationClass.name} has no name: give it "readonly name = '…'" (a bundler may rename its class).`,
      );
    }
    if (migrations.has(name))
      throw new Error(`Two migrations are named ${name}: names are what the database remembers.`);
    migrations.set(name, migration);
  }
  return migrations;
}

async function runOne(transaction: EntityManager, name: string, migration: Migration): Promise<boolean> {
  const query = queryIn(transaction);
  await query('SELECT 1 FROM alto_migration_lock FOR UPDATE');
  const { rows } = await query('SELECT 1 FROM alto_migration WHERE name = $1', [name]);
  if (rows.length > 0) return false;
  const startedAtMs = performance.now();
  await migration.up(transaction.queryRunner!);
  await query('INSERT INTO alto_migration (name, took_ms) VALUES ($1, $2)', [
    name,
    Math.round(performance.now() - startedAtMs),
  ]);
  return true;
}

async function recorded(dataSource: DataSource): Promise<Set<string>> {
  const runner = dataSource.createQueryRunner();
  try {
    const { rows } = await queryOn(runner)<{ name: string }>('SELECT name FROM alto_migration');
    return new Set(rows.map(({ name }) => name));
  } finally {
    await runner.release();
  }
}

/** `IF NOT EXISTS` still fails for one of two that create the same table in the same moment: that one looks again. */
async function createBook(dataSource: DataSource): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await dataSource.transaction(async (transaction) => {
        const query = queryIn(transaction);
        await query('CREATE TABLE IF NOT EXISTS alto_migration (name text PRIMARY KEY, took_ms integer NOT NULL)');
        await query('CREATE TABLE IF NOT EXISTS alto_migration_lock (only_row boolean PRIMARY KEY CHECK (only_row))');
        await query('INSERT INTO alto_migration_lock (only_row) VALUES (true) ON CONFLICT DO NOTHING');
      });
    } catch (error) {
      const createdMeanwhile = ['23505', '42P07', '42710', 'XX000'].includes(driverError(error)?.code ?? '');
      if (!createdMeanwhile || attempt === 5) throw error;
    }
  }
}
