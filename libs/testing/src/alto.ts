/**
 * A whole Alto as users run it: built releases, the agent, real servers, random ports, a folder of its own. Its parts
 * can be killed, paused, resumed and restarted. Nothing is left of it after `stop()`; its logs are kept on failure.
 */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { AltoClient } from '@alto/sdk';
import { eventually } from './eventually';
import { currentTestFailed, keepLog } from './kept-log';
import { isAlive } from './process-tree';
import { repositoryRoot } from './repository';

const execute = promisify(execFile);

export interface AltoOptions {
  /** Settings of the agent and of all services, by the names of their environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface AltoWorkload {
  readonly id: string;
  /** `instance` for apps; else what part of Alto it is. */
  readonly kind: string;
  readonly name: string;
  readonly want: 'running' | 'stopped';
  /** `ready` when it serves. */
  readonly phase: string;
  readonly reason: string;
  readonly pid: number | null;
  readonly ports: Readonly<Record<string, number>>;
  readonly restarts: number;
}

export interface AltoStatus {
  /** Of the agent. */
  readonly pid: number;
  readonly phase: string;
  readonly workloads: readonly AltoWorkload[];
}

/** Where the built releases and the servers lie. */
export interface Prepared {
  readonly program: string;
  /** Settings for an agent that say so. */
  readonly settings: Record<string, string>;
}

let prepared: Promise<Prepared> | undefined;

/** Builds what has changed and starts an Alto. @throws Error with what it said when it does not come up. */
export async function startAlto(options: AltoOptions = {}): Promise<Alto> {
  const { program, settings } = await prepareAlto();
  const folder = mkdtempSync(join(tmpdir(), 'alto-'));
  // PostgreSQL runs as a user of its own where the tests run as root.
  chmodSync(folder, 0o711);
  const ports = { api: await freePort(), apps: await freePort(), s3: await freePort() };
  const alto = new Alto(folder, program, ports, {
    ...settings,
    ALTO_API_PORT: String(ports.api),
    ALTO_APPS_PORT: String(ports.apps),
    ALTO_S3_PORT: String(ports.s3),
    ALTO_SERVICE_PORT_FIRST: String(10_000 + Math.floor(Math.random() * 4_000)),
    ...options.env,
  });
  // A test run that is broken off must not leave an Alto behind.
  process.once('exit', () => killAll(folder));
  try {
    await alto.start();
  } catch (error) {
    await alto.stop({ failed: true });
    throw error;
  }
  return alto;
}

export class Alto {
  /** What a shell needs so that `./alto` means this one. */
  readonly environment: Record<string, string>;
  private cachedClient: AltoClient | undefined;

  constructor(
    readonly dataDirectory: string,
    private readonly program: string,
    private readonly ports: { readonly api: number; readonly apps: number; readonly s3: number },
    settings: Readonly<Record<string, string>>,
  ) {
    const { PATH = '', TMPDIR = tmpdir() } = process.env;
    this.environment = { ...settings, PATH, TMPDIR, HOME: dataDirectory, ALTO_DATA_DIR: dataDirectory };
  }

  get apiUrl(): string {
    return `http://127.0.0.1:${this.ports.api}`;
  }

  get appsUrl(): string {
    return `http://127.0.0.1:${this.ports.apps}`;
  }

  get s3Url(): string {
    return `http://127.0.0.1:${this.ports.s3}`;
  }

  get adminKey(): string {
    return readFileSync(join(this.dataDirectory, 'keys', 'admin.key'), 'utf8').trim();
  }

  /** As the operator. */
  get client(): AltoClient {
    return (this.cachedClient ??= new AltoClient({ baseUrl: this.apiUrl, apiKey: this.adminKey }));
  }

  /** Runs the `alto` command against this Alto. @returns what it printed. @throws Error with what it said. */
  async command(...argv: string[]): Promise<string> {
    try {
      const { stdout } = await execute(process.execPath, [this.program, ...argv], {
        env: this.environment,
        maxBuffer: 64 << 20,
        timeout: 300_000,
      });
      return stdout;
    } catch (error) {
      const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
      throw new Error(`alto ${argv.join(' ')} failed:\n${stderr || stdout || String(error)}`, { cause: error });
    }
  }

  /** Also after the agent was killed: it finds what it left running. */
  async start(): Promise<void> {
    await this.command('up', '--detach', '--json');
  }

  /** From the agent itself: a command for each look would cost half a second of CPU. */
  async status(): Promise<AltoStatus> {
    return await askAgent(join(this.dataDirectory, 'run', 'agent.sock'), '/v1/status');
  }

  /** One process of a workload: of a service, of `postgres`, `nats` or `haproxy`. @param slot e.g. 0 for `gateway.0` */
  async pid(name: string, slot?: number): Promise<number> {
    const { workloads } = await this.status();
    const found = workloads.find(
      (one) => one.id === `${name}.${slot}` || (slot === undefined && one.name === name && one.pid),
    );
    if (!found?.pid) throw new Error(`${name} does not run: ${found?.phase ?? 'unknown'} ${found?.reason ?? ''}`);
    return found.pid;
  }

  async agentPid(): Promise<number> {
    return (await this.status()).pid;
  }

  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    process.kill(await this.pid(name), signal);
  }

  /** It keeps its connections and answers nothing. @returns what lets it go on. */
  async pause(name: string): Promise<() => void> {
    const pid = await this.pid(name);
    process.kill(pid, 'SIGSTOP');
    return () => void process.kill(pid, 'SIGCONT');
  }

  /** As an update does: the new instance is there before the old one goes. */
  async restart(service: string): Promise<void> {
    await this.command('services', 'restart', service);
  }

  /** What runs goes on without its agent, which is back in a second or two. */
  async killAgent(): Promise<void> {
    const pid = await this.agentPid();
    process.kill(pid, 'SIGKILL');
    await eventually(() => {
      if (isAlive(pid)) throw new Error('the agent still lives');
    });
  }

  async logs(name: string): Promise<string> {
    const { workloads } = await this.status();
    const id = workloads.find((one) => one.name === name || one.id === name)?.id ?? name;
    return await this.command('logs', '--workload', id, '--lines', '1000');
  }

  /** Stops all in order, then makes sure that nothing is left. */
  async stop({ failed = currentTestFailed() }: { failed?: boolean } = {}): Promise<void> {
    const problem = await this.command('down').then(
      () => undefined,
      (error: Error) => error,
    );
    // The agent and its keeper end by themselves, a moment after they have said that all is stopped.
    await eventually(() => processesOf(this.dataDirectory).length === 0, { withinMs: 3_000 }).catch(() => undefined);
    const left = processesOf(this.dataDirectory);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    if (failed || left.length > 0) this.keepLogs();
    rmSync(this.dataDirectory, { recursive: true, force: true, maxRetries: 5 });
    if (left.length > 0 && !failed)
      throw new Error(`Alto left ${left.length} processes behind. ${problem?.message ?? ''}`);
  }

  private keepLogs(): void {
    for (const root of ['logs', 'workloads'].map((folder) => join(this.dataDirectory, folder))) {
      if (!existsSync(root)) continue;
      for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/log$|output/.test(entry.name)) continue;
        const place = entry.parentPath.slice(this.dataDirectory.length + 1).replaceAll('/', '-');
        keepLog(join(entry.parentPath, entry.name), `${basename(this.dataDirectory)}-${place}-${entry.name}`);
      }
    }
  }
}

/** Builds what has changed, once for a test file. */
export function prepareAlto(): Promise<Prepared> {
  return (prepared ??= prepare());
}

/** In a process of its own: esbuild does not work inside Jest's environment. */
async function prepare(): Promise<Prepared> {
  const { stdout } = await execute(process.execPath, [join(repositoryRoot, 'tools', 'prepare.ts')], {
    maxBuffer: 16 << 20,
  });
  return JSON.parse(stdout) as Prepared;
}

const agentAnswersWithinMs = 5_000;

function askAgent<T>(socketPath: string, path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const asking = get({ socketPath, path, agent: false, timeout: agentAnswersWithinMs }, (response) => {
      json(response).then((answer) => resolve(answer as T), reject);
    });
    asking.on('timeout', () => asking.destroy(new Error('the agent does not answer')));
    asking.on('error', reject);
  });
}

function killAll(folder: string): void {
  for (const pid of processesOf(folder)) process.kill(pid, 'SIGKILL');
}

/** Processes that name the folder in their command line (Linux; elsewhere `down` is trusted). */
function processesOf(folder: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(folder) && isAlive(pid));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
