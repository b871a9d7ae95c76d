/** One machine of an Alto in a test: an agent, what it runs, and a folder of its own. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { eventually } from './eventually';
import { currentTestFailed, keepLog } from './kept-log';
import { childrenOf, isAlive } from './process-tree';

const execute = promisify(execFile);

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
  readonly startedAtMs: number | null;
  readonly ports: Readonly<Record<string, number>>;
  readonly restarts: number;
  readonly release: { readonly service: string; readonly version: string } | null;
}

export interface AltoStatus {
  /** Of the agent. */
  readonly pid: number;
  /** Release that it runs. */
  readonly version: string;
  /** Id of the machine. */
  readonly nodeId: string;
  readonly phase: string;
  /** How far apps are walled in on this machine, and what of them it cannot bound. */
  readonly sandbox: {
    readonly level: string;
    readonly reason: string | null;
    readonly refusal: string | null;
    readonly unbounded: readonly string[];
  };
  readonly workloads: readonly AltoWorkload[];
}

export class AltoMachine {
  /** What a shell needs so that `./alto` means this one. */
  readonly environment: Record<string, string>;

  constructor(
    readonly dataDirectory: string,
    private readonly program: string,
    settings: Readonly<Record<string, string>>,
  ) {
    const { PATH = '', TMPDIR = tmpdir() } = process.env;
    // Where the tests run there may be no sandbox to be had: then what is not about it is tried all the same.
    this.environment = {
      ALTO_SANDBOX: 'optional',
      ...settings,
      PATH,
      TMPDIR,
      HOME: dataDirectory,
      ALTO_DATA_DIR: dataDirectory,
    };
    // A test run that is broken off must not leave anything behind.
    process.once('exit', () => killAll(dataDirectory));
  }

  /** Runs the `alto` command against this Alto. @returns what it printed. @throws Error with what it said. */
  async command(...argv: string[]): Promise<string> {
    return await this.commandReading('', ...argv);
  }

  /** As `command`; what must not be seen in the list of processes is read from standard input. */
  async commandReading(input: string, ...argv: string[]): Promise<string> {
    try {
      const running = execute(process.execPath, [this.program, ...argv], {
        env: this.environment,
        maxBuffer: 64 << 20,
        timeout: 300_000,
      });
      running.child.stdin?.end(input);
      return (await running).stdout;
    } catch (error) {
      const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
      throw new Error(`alto ${argv.join(' ')} failed:\n${stderr || stdout || String(error)}`, { cause: error });
    }
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

  /** It keeps its connections and answers nothing, nor do its children. @returns what lets those that are left go on. */
  async pause(name: string): Promise<() => void> {
    const pid = await this.pid(name);
    process.kill(pid, 'SIGSTOP'); // First, so that it starts no more of them.
    const children = childrenOf(pid);
    for (const child of children) process.kill(child, 'SIGSTOP');
    return () => {
      for (const each of [...children, pid]) if (isAlive(each)) process.kill(each, 'SIGCONT');
    };
  }

  /** What runs goes on without its agent, which is back in a second or two. */
  async killAgent(): Promise<void> {
    const pid = await this.agentPid();
    process.kill(pid, 'SIGKILL');
    await eventually(() => {
      if (isAlive(pid)) throw new Error('the agent still lives');
    });
  }

  /** As a power cut: nothing of it is left but its disk. */
  async crash(): Promise<void> {
    await eventually(() => {
      killAll(this.dataDirectory);
      if (processesOf(this.dataDirectory).length > 0) throw new Error('something still lives');
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
    await eventually(() => processesOf(this.dataDirectory).length === 0, { withinMs: 10_000 }).catch(() => undefined);
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

/** Processes with the folder in their command line or environment (Linux; elsewhere `down` is trusted). */
function processesOf(folder: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(
      (pid) =>
        pid !== process.pid && ['cmdline', 'environ'].some((file) => tells(pid, file).includes(folder)) && isAlive(pid),
    );
}

function tells(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
