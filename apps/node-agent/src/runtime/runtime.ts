/**
 * What runs workloads. A runtime keeps what it starts alive without the agent: an agent that is killed and
 * started again asks `list` and `observe` and knows everything that happened meanwhile.
 *
 * The interface is small on purpose; what only some runtimes can do is an optional capability.
 * `runtime.conformance.ts` says in tests what every runtime promises.
 */
import type { Signal } from '../workloads/workload';

/** What is to be run. The environment is the whole environment of the process. */
export interface Launch {
  /** Of the workload; names its folder. */
  id: string;
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  user?: { uid: number; gid: number };
  /** Left out: none. Where the machine cannot bound something it is left unbounded. */
  limits?: RunLimits;
  /** Left out: it sees all that its user may see. Only for runtimes that can wall in. */
  confinement?: Confinement;
  /**
   * Left out: none. They are open before the command runs, and stay open when a signal ends it: it is then started again
   * at once, within the same run, and who connects meanwhile waits. Not for commands that are walled in.
   */
  sockets?: readonly ListeningSocket[];
}

/** A port whose connections wait for the command that is to take them. */
export interface ListeningSocket {
  /** Tells the command which descriptor it is, as `fd@3`. */
  variable: string;
  /** The command's configuration. Where that does not name the variable, the command is left to open the port itself. */
  namedIn: string;
  /** An address, or `*` for all of IPv4. */
  host: string;
  port: number;
}

/**
 * A bubblewrap that the command is run under. Its variables and the options go through a pipe: no list of processes
 * shows them, and no privileged program has them in its environment.
 */
export interface Confinement {
  /** Begins with a program and ends with options of bubblewrap. */
  launcher: readonly string[];
  /** Further options. The last ones are those without which no command can be run. */
  options: readonly string[];
  /** File with a compiled filter of system calls. */
  filter: string | undefined;
  /** Whom the command becomes inside, if somebody else: its output is that user's. */
  user: { uid: number; gid: number } | undefined;
}

/** What all processes of a run may take together. */
export interface RunLimits {
  /** Swap included; more, and one of them is killed. */
  memoryBytes: number;
  /** Thousandths of a CPU that it has for sure, against others that want more. */
  cpuMillis: number;
  /** Thousandths of a CPU that it may take of what nobody else wants. */
  cpuMillisMax: number;
  /** Threads count. */
  processesMax: number;
  /** What is more for long is dropped from its log. */
  logBytesPerSecond: number;
}

/** Both null: the process is gone and nobody saw how (its shim was killed, or the machine restarted). */
export interface Exit {
  code: number | null;
  signal: string | null;
  /** Which limit ended it, in words, where one did: `out of memory (its limit is 64 MiB)`. */
  cause?: string;
}

/** The newest run of a workload, as it is now. Runs of a workload are numbered from 1. */
export type RunView =
  | { state: 'none' }
  /** On record, its process not seen yet. */
  | { state: 'starting'; run: number }
  /** `warning` says in words which limit holds it back; `revivals`: how often its process was started again. */
  | { state: 'running'; run: number; pid: number; startedAtMs: number; warning?: string; revivals?: number }
  /** `leftovers` counts processes of the run that outlived its main process. */
  | { state: 'ended'; run: number; exit: Exit; endedAtMs: number; leftovers: number; revivals?: number };

export interface WorkloadRuntime {
  readonly name: string;

  /**
   * Begins the next run and returns its number. It is on record before its process exists: killed at any point,
   * the agent finds either no run or this one. @throws Error when the run before has not ended with all its processes.
   */
  start(launch: Launch): Promise<number>;

  /** The newest run. Never fails for an unknown id: that is `none`. */
  observe(id: string): Promise<RunView>;

  /** To the main process of the newest run. One that has ended gets none: no error. */
  signal(id: string, signal: Signal): Promise<void>;

  /** SIGKILL to every process of the newest run. `observe` shows when they are gone, and the cause in words if given. */
  kill(id: string, cause?: string): Promise<void>;

  /** Removes all that is kept of a workload, its log included. @throws Error while any process of it is alive. */
  forget(id: string): Promise<void>;

  /** Ids of all workloads with something on record. */
  list(): Promise<string[]>;

  /** Output of workloads, kept beyond their end, bounded. */
  readonly logs?: LogCapability;

  /** Called every few seconds, for runtimes that must remember which processes belong to a run. */
  track?(): Promise<void>;

  /** Called once when everything is stopped for good, before the agent exits. */
  close?(): Promise<void>;
}

export interface LogCapability {
  /**
   * Whole lines after the cursor, or without one the last lines. The cursor of the answer continues there;
   * a cursor whose lines are no longer kept continues at the oldest kept line.
   */
  read(id: string, options: { cursor?: string; linesMax: number }): Promise<LogChunk>;
  /** Adds a line of the agent's own, e.g. why the workload was restarted. */
  note(id: string, text: string, at: Date): Promise<void>;
  /** What the log takes of the disk; 0 where there is none. */
  bytesOf(id: string): Promise<number>;
}

export interface LogEntry {
  stream: 'output' | 'alto';
  time: string | null;
  text: string;
}

export interface LogChunk {
  lines: LogEntry[];
  cursor: string;
}
