/** All that an Alto keeps, to be searched: every column of every table of every database, and every file but its keys. */
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Alto } from '@alto/testing';
import pg from 'pg';

/** Where a needle was found, e.g. `database compute: secrets` or `file logs/agent.log`. */
export type Place = string;

/** A text as it may lie somewhere: as it is, or written otherwise. */
export function formsOf(needle: string): string[] {
  const bytes = Buffer.from(needle);
  return [needle, bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, ''), encodeURIComponent(needle)];
}

/** @returns where any of the needles lies in one of the databases */
export async function foundInDatabases(
  databases: readonly pg.ClientConfig[],
  needles: readonly string[],
): Promise<Place[]> {
  const found: Place[] = [];
  for (const database of databases) {
    await withClient(database, async (client) => {
      const [name = ''] = await column(client, 'SELECT current_database()');
      for (const table of await column(client, tables)) {
        const text = await copy(client, table);
        if (needles.some((needle) => text.includes(needle))) found.push(`database ${name}: ${table}`);
      }
    });
  }
  return found;
}

interface Manifest {
  readonly workloads: readonly { readonly id: string; readonly readiness?: { readonly socketPath?: string } }[];
}

/** Every database of a whole Alto, as the superuser. */
export async function databasesOf(alto: Alto): Promise<pg.ClientConfig[]> {
  const read = <T>(...path: string[]) => JSON.parse(readFileSync(join(alto.dataDirectory, ...path), 'utf8')) as T;
  const { workloads } = read<Manifest>('state', 'manifest.json');
  const postgres = workloads.find(({ id }) => id === 'postgres');
  const { superuser: password } = read<{ superuser: string }>('keys', 'databases.json');
  const settings = { host: dirname(postgres?.readiness?.socketPath ?? ''), user: 'alto', password };
  const names = await withClient({ ...settings, database: 'postgres' }, (client) =>
    column(client, 'SELECT datname FROM pg_database WHERE NOT datistemplate'),
  );
  return names.map((database) => ({ ...settings, database }));
}

const tables = `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`;

async function withClient<T>(settings: pg.ClientConfig, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(settings);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function column(client: pg.Client, query: string): Promise<string[]> {
  const { rows } = await client.query<string[]>({ text: query, rowMode: 'array' });
  return rows.map(([value]) => value ?? '');
}

/** `COPY … TO STDOUT`: every column of every row as text. */
async function copy(client: pg.Client, table: string): Promise<string> {
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
  const chunks: Buffer[] = [];
  const take = ({ chunk }: { chunk: Buffer }) => void chunks.push(chunk);
  connection.on('copyData', take);
  try {
    await client.query(`COPY ${table} TO STDOUT`);
  } finally {
    connection.off('copyData', take);
  }
  return Buffer.concat(chunks).toString('latin1');
}

/**
 * @param left entries of the folder that are not searched
 * @returns files under the folder in which any of the needles lies: logs, states, the stores of servers
 */
export function foundInFiles(folder: string, left: readonly string[], needles: readonly string[]): Place[] {
  return readdirSync(folder)
    .filter((name) => !left.includes(name))
    .flatMap((name) => filesUnder(join(folder, name)))
    .filter((file) => holds(file, needles))
    .map((file) => `file ${relative(folder, file)}`);
}

/** What is removed meanwhile was there a moment ago: nothing to fail for. */
function filesUnder(path: string): string[] {
  try {
    const found = lstatSync(path);
    if (found.isFile()) return [path];
    return found.isDirectory() ? readdirSync(path).flatMap((name) => filesUnder(join(path, name))) : [];
  } catch {
    return [];
  }
}

const pieceBytes = 1 << 20;
const overlapBytes = 1 << 10;

function holds(file: string, needles: readonly string[]): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return false;
  }
  try {
    const piece = Buffer.alloc(pieceBytes + overlapBytes);
    for (let position = 0; ; position += pieceBytes) {
      const read = readSync(descriptor, piece, 0, piece.length, position);
      const text = piece.subarray(0, read);
      if (needles.some((needle) => text.includes(needle))) return true;
      if (read <= pieceBytes) return false;
    }
  } finally {
    closeSync(descriptor);
  }
}
