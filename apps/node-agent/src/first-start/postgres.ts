/** PostgreSQL for one Alto: the cluster's files, its configuration, and a short-lived start to prepare databases. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { writeIfChanged, writeWhole } from './files';
import type { SystemUser } from './system-user';

const execute = promisify(execFile);

export const superuser = 'alto';

export interface PostgresPlan {
  /** Folder whose `bin/` holds `postgres` and `initdb`. */
  programs: string;
  /** Folder that the server's user owns; the cluster lies in it. */
  directory: string;
  /** Short folder of the server's only socket. */
  socketDirectory: string;
  user: SystemUser | undefined;
  superuserPassword: string;
}

export const clusterOf = (plan: PostgresPlan) => join(plan.directory, 'cluster');
export const configurationOf = (plan: PostgresPlan) => join(plan.directory, 'postgresql.conf');

export function postgresCommand(plan: PostgresPlan): string[] {
  return [join(plan.programs, 'bin', 'postgres'), '-D', clusterOf(plan), '-c', `config_file=${configurationOf(plan)}`];
}

/** Makes the cluster if there is none, and writes the configuration. */
export async function ensureCluster(plan: PostgresPlan): Promise<void> {
  for (const folder of [plan.directory, plan.socketDirectory]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    if (plan.user !== undefined) await chown(folder, plan.user.uid, plan.user.gid);
  }
  if (existsSync(clusterOf(plan))) await requireSameMajor(plan);
  else await makeCluster(plan);
  await writeIfChanged(configurationOf(plan), configuration(plan), 0o644);
  await writeIfChanged(accessFileOf(plan), accessRules, 0o644);
}

const accessFileOf = (plan: PostgresPlan) => join(plan.directory, 'pg_hba.conf');

const accessRules = `# Written by Alto. Nobody comes in without a password, and nobody from outside of this machine.
local all all scram-sha-256
`;

/** For a machine shared with everything else: little memory, few processes, and nothing that is acknowledged is lost. */
function configuration(plan: PostgresPlan): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  return `# Written by Alto at each start; changes made here are lost.
data_directory = ${quoted(clusterOf(plan))}
hba_file = ${quoted(accessFileOf(plan))}
cluster_name = 'alto'
listen_addresses = ''
unix_socket_directories = ${quoted(plan.socketDirectory)}
unix_socket_permissions = 0700
max_connections = 500
password_encryption = 'scram-sha-256'

fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = 512MB
min_wal_size = 64MB
checkpoint_completion_target = 0.9

shared_buffers = 32MB
work_mem = 4MB
maintenance_work_mem = 32MB
effective_cache_size = 256MB
huge_pages = off
jit = off
io_method = sync
max_worker_processes = 4
max_parallel_workers = 2
max_parallel_workers_per_gather = 1
autovacuum_max_workers = 2
max_wal_senders = 2

log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
`;
}

async function makeCluster(plan: PostgresPlan): Promise<void> {
  const partial = join(plan.directory, 'cluster.partial');
  const passwordFile = join(plan.directory, 'password');
  await rm(partial, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await writeWhole(passwordFile, `${plan.superuserPassword}\n`);
  if (plan.user !== undefined) await chown(passwordFile, plan.user.uid, plan.user.gid);
  const args = [
    `--pgdata=${partial}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--no-instructions',
  ];
  try {
    await execute(join(plan.programs, 'bin', 'initdb'), args, { ...plan.user, cwd: plan.directory, env: environment });
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new Error(`PostgreSQL's initdb failed: ${stderr.trim() || message}`, { cause: error });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(partial, clusterOf(plan));
}

/** The files of one major version cannot be opened by another. */
async function requireSameMajor(plan: PostgresPlan): Promise<void> {
  const present = (await readFile(join(clusterOf(plan), 'PG_VERSION'), 'utf8')).trim();
  const { stdout } = await execute(join(plan.programs, 'bin', 'postgres'), ['--version'], { env: environment });
  const installed = /(\d+)/.exec(stdout)?.[1];
  if (present === installed) return;
  throw new Error(
    `The data in ${clusterOf(plan)} is PostgreSQL ${present}'s and this Alto brings PostgreSQL ${installed}: ` +
      `start the Alto that made it, or move the data to a server of your own and name it with ALTO_DATABASE_URL.`,
  );
}

export const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** Connects as superuser to the server on the socket. */
export async function connectAsSuperuser(plan: PostgresPlan): Promise<Client> {
  const client = new Client({
    host: plan.socketDirectory,
    user: superuser,
    password: plan.superuserPassword,
    database: 'postgres',
    connectionTimeoutMillis: 5_000,
  });
  // A server that stops while we are idle says so on the connection: `query` reports it where it matters.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Runs `work` against the server, which is started for it and stopped again unless it runs already. */
export async function withServer<T>(plan: PostgresPlan, work: (client: Client) => Promise<T>): Promise<T> {
  const running = await connectAsSuperuser(plan).catch(() => undefined);
  if (running !== undefined) return await finish(running, work);
  const [program, ...args] = postgresCommand(plan) as [string, ...string[]];
  const server = spawn(program, args, {
    ...plan.user,
    cwd: dirname(clusterOf(plan)),
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said: string[] = [];
  server.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  try {
    return await finish(await firstConnection(plan, server, said), work);
  } finally {
    await stop(server);
  }
}

async function finish<T>(client: Client, work: (client: Client) => Promise<T>): Promise<T> {
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function firstConnection(plan: PostgresPlan, server: ChildProcess, said: readonly string[]): Promise<Client> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      return await connectAsSuperuser(plan);
    } catch (error) {
      if (server.exitCode !== null || server.signalCode !== null || Date.now() > deadline) {
        throw new Error(`PostgreSQL did not start: ${said.join('').trim().slice(-2_000) || String(error)}`, {
          cause: error,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Fast shutdown: clients are cut off, everything is on disk when it has exited. */
async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGINT');
  await exited;
}
