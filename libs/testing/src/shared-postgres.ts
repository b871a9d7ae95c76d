/** One PostgreSQL for a whole test run, and databases on it that are cloned from a migrated template. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EntityClass, MigrationClass } from '@alto/platform';
import { runMigrations, SnakeCaseNaming } from '@alto/platform';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { eventually } from './eventually';
import { startPostgres, temporaryFolder } from './postgres';
import { startOf } from './process-tree';

export interface DatabaseHost {
  url(database?: string): string;
}

export interface TestDatabaseOptions {
  /** Name of the service, for people who look at the server. */
  readonly name: string;
  readonly migrations: readonly MigrationClass[];
  /** Checked against the migrated tables: a column that no migration makes fails here, and not in production. */
  readonly entities?: readonly EntityClass[];
  /** The shared server unless given. */
  readonly server?: DatabaseHost;
}

export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  drop(): Promise<void>;
}

const sharedWithinMs = 120_000;

/**
 * The server of this test run: the first who asks starts it, in whichever worker, and it ends with the process that
 * runs the workers. Nobody stops it.
 */
export async function sharedPostgres(): Promise<DatabaseHost> {
  const ownerPid = runnerPid();
  const folder = join(temporaryFolder(), `alto-pg-${ownerPid}-${startOf(ownerPid)}`);
  const readyFile = join(folder, 'ready.json');
  if (claim(folder)) {
    // The folder goes when this fails, and who waits for it then tries, and fails, with the reason.
    const server = await startPostgres({ folder, ownerPid });
    writeFileSync(`${readyFile}.part`, JSON.stringify({ url: server.url('DATABASE') }));
    renameSync(`${readyFile}.part`, readyFile);
  }
  await eventually(() => existsSync(readyFile) || !existsSync(folder), { withinMs: sharedWithinMs });
  if (!existsSync(readyFile)) return sharedPostgres();
  const { url } = JSON.parse(readFileSync(readyFile, 'utf8')) as { url: string };
  return { url: (database = 'postgres') => url.replace('/DATABASE?', `/${database}?`) };
}

/** A database of its own for a suite, as the migrations make it; cloned, so it costs some ten milliseconds. */
export async function createDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  const server = options.server ?? (await sharedPostgres());
  const plainName = options.name.replaceAll('-', '_');
  const name = `${plainName}_${randomBytes(5).toString('hex')}`;
  await withAdministrator(server, async (administrator) => {
    const template = await templateFor(administrator, server, plainName, options);
    await administrator.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  });
  const drop = () => withAdministrator(server, (administrator) => dropDatabase(administrator, name));
  return { url: server.url(name), name, drop };
}

/** The process whose end is the end of the run: Jest's own, which a worker is a child of. */
function runnerPid(): number {
  return /[\\/]jest-worker[\\/]/.test(process.argv[1] ?? '') ? process.ppid : process.pid;
}

function claim(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function withAdministrator<T>(server: DatabaseHost, work: (administrator: pg.Client) => Promise<T>): Promise<T> {
  const administrator = new pg.Client({ connectionString: server.url() });
  administrator.on('error', () => {});
  await administrator.connect();
  try {
    return await work(administrator);
  } finally {
    await administrator.end();
  }
}

/** Makes the template once per set of migrations; suites of other workers wait for it. */
async function templateFor(
  administrator: pg.Client,
  server: DatabaseHost,
  name: string,
  { migrations, entities = [] }: TestDatabaseOptions,
): Promise<string> {
  const digest = createHash('sha256').update(migrations.map(String).join('\n')).digest('hex').slice(0, 12);
  const template = `template_${name}_${digest}`;
  await administrator.query('SELECT pg_advisory_lock(hashtext($1))', [template]);
  try {
    const { rowCount } = await administrator.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
    if (rowCount === 0) await makeTemplate(administrator, server, template, migrations, entities);
  } finally {
    await administrator.query('SELECT pg_advisory_unlock(hashtext($1))', [template]);
  }
  return template;
}

async function makeTemplate(
  administrator: pg.Client,
  server: DatabaseHost,
  template: string,
  migrations: readonly MigrationClass[],
  entities: readonly EntityClass[],
): Promise<void> {
  const draft = `draft_${template}`;
  await dropDatabase(administrator, draft);
  await administrator.query(`CREATE DATABASE ${draft}`);
  const dataSource = new DataSource({
    type: 'postgres',
    driver: pg,
    database: draft,
    extra: { connectionString: server.url(draft), max: 2 },
    entities: [...entities] as never[],
    namingStrategy: new SnakeCaseNaming(),
    installExtensions: false,
  });
  await dataSource.initialize();
  try {
    await runMigrations(dataSource, migrations);
    await checkColumns(dataSource);
  } finally {
    await dataSource.destroy();
  }
  // The server takes a moment to see that the last connection is gone.
  await eventually(() => administrator.query(`ALTER DATABASE ${draft} RENAME TO ${template}`));
}

async function checkColumns(dataSource: DataSource): Promise<void> {
  const rows: { table: string; column: string }[] = await dataSource.query(
    'SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns WHERE table_schema = current_schema()',
  );
  const present = new Set(rows.map(({ table, column }) => `${table}.${column}`));
  const missing = dataSource.entityMetadatas
    .flatMap((entity) => entity.columns.map((column) => `${entity.tableName}.${column.databaseName}`))
    .filter((column) => !present.has(column));
  if (missing.length > 0) throw new Error(`No migration makes these columns of the entities: ${missing.join(', ')}`);
}

async function dropDatabase(administrator: pg.Client, name: string): Promise<void> {
  await administrator.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}
