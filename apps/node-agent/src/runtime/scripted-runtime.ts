/**
 * A runtime without processes for tests: each workload says in its spec what it will do. The second word of its
 * command is a script, e.g. `['scripted', '{"runForMs":500,"exitCode":7}']`; what is not said is that it runs on.
 */
import type { Clock } from '@alto/platform';
import type { Signal } from '../workloads/workload';
import type { Exit, Launch, LogCapability, LogChunk, LogEntry, RunView, WorkloadRuntime } from './runtime';

export interface ScriptedBehaviour {
  /** Time from start to its end; for ever unless given. */
  runForMs?: number;
  exitCode?: number;
  /** Time from start until `isReady`; at once unless given. */
  readyAfterMs?: number;
  /** Time from a stop signal to the end. */
  stopsAfterMs?: number;
  ignoresStopSignals?: boolean;
  /** `start` fails with this message. */
  failsToStart?: string;
  leavesProcess?: boolean;
  output?: readonly string[];
}

export function scriptedCommand(behaviour: ScriptedBehaviour): string[] {
  return ['scripted', JSON.stringify(behaviour)];
}

interface ScriptedRun {
  run: number;
  pid: number;
  behaviour: ScriptedBehaviour;
  startedAtMs: number;
  stopAtMs: number;
  stopSignal: string | null;
  leftovers: number;
}

/** The machine that outlives agents: runtimes over the same world see the same runs. */
export class ScriptedWorld {
  readonly runs = new Map<string, ScriptedRun>();
  readonly output = new Map<string, LogEntry[]>();
  readonly launches: Launch[] = [];
  nextPid = 1000;
}

export class ScriptedRuntime implements WorkloadRuntime {
  readonly name = 'scripted';
  /** Every call that changes something, in order: `start a`, `SIGTERM a`, `kill a`, `forget a`. */
  readonly calls: string[] = [];

  constructor(
    private readonly clock: Clock,
    readonly world: ScriptedWorld = new ScriptedWorld(),
  ) {}

  readonly logs: LogCapability = {
    read: async (id, { cursor, linesMax }): Promise<LogChunk> => {
      const entries = this.world.output.get(id) ?? [];
      const from = cursor === undefined ? Math.max(0, entries.length - linesMax) : Number(cursor);
      const lines = entries.slice(from, from + linesMax);
      return { lines, cursor: String(from + lines.length) };
    },
    bytesOf: async (id) => JSON.stringify(this.world.output.get(id) ?? []).length,
    note: async (id, text, at) => this.write(id, { stream: 'alto', time: at.toISOString(), text }),
  };

  async start(launch: Launch): Promise<number> {
    const before = await this.observe(launch.id);
    if (before.state === 'running' || (before.state === 'ended' && before.leftovers > 0)) {
      throw new Error(`Workload ${launch.id} still has processes of run ${before.run}.`);
    }
    const behaviour = JSON.parse(launch.command[1] ?? '{}') as ScriptedBehaviour;
    this.calls.push(`start ${launch.id}`);
    if (behaviour.failsToStart !== undefined) throw new Error(behaviour.failsToStart);
    this.world.launches.push(launch);
    const run = (this.world.runs.get(launch.id)?.run ?? 0) + 1;
    this.world.runs.set(launch.id, {
      run,
      pid: this.world.nextPid++,
      behaviour,
      startedAtMs: this.clock.nowMs(),
      stopAtMs: Infinity,
      stopSignal: null,
      leftovers: behaviour.leavesProcess ? 1 : 0,
    });
    for (const text of behaviour.output ?? []) this.write(launch.id, { stream: 'output', time: null, text });
    return run;
  }

  async observe(id: string): Promise<RunView> {
    const run = this.world.runs.get(id);
    if (!run) return { state: 'none' };
    const endedAtMs = endOf(run);
    if (this.clock.nowMs() < endedAtMs) {
      return { state: 'running', run: run.run, pid: run.pid, startedAtMs: run.startedAtMs };
    }
    return { state: 'ended', run: run.run, exit: exitOf(run), endedAtMs, leftovers: run.leftovers };
  }

  async signal(id: string, signal: Signal): Promise<void> {
    const run = this.world.runs.get(id);
    if (!run || this.clock.nowMs() >= endOf(run)) return;
    this.calls.push(`${signal} ${id}`);
    if (run.behaviour.ignoresStopSignals) return;
    run.stopAtMs = Math.min(run.stopAtMs, this.clock.nowMs() + (run.behaviour.stopsAfterMs ?? 0));
    run.stopSignal = signal;
  }

  async kill(id: string): Promise<void> {
    const run = this.world.runs.get(id);
    if (!run) return;
    this.calls.push(`kill ${id}`);
    run.leftovers = 0;
    if (this.clock.nowMs() >= endOf(run)) return;
    run.stopAtMs = this.clock.nowMs();
    run.stopSignal = 'SIGKILL';
  }

  async forget(id: string): Promise<void> {
    const view = await this.observe(id);
    if (view.state === 'running' || (view.state === 'ended' && view.leftovers > 0)) {
      throw new Error(`Workload ${id} still has processes; stop it before forgetting it.`);
    }
    if (view.state !== 'none') this.calls.push(`forget ${id}`);
    this.world.runs.delete(id);
    this.world.output.delete(id);
  }

  async list(): Promise<string[]> {
    return [...this.world.runs.keys()];
  }

  /** What a readiness check of this workload would find. */
  isReady(id: string): boolean {
    const run = this.world.runs.get(id);
    if (!run || this.clock.nowMs() >= endOf(run)) return false;
    return this.clock.nowMs() - run.startedAtMs >= (run.behaviour.readyAfterMs ?? 0);
  }

  private write(id: string, entry: LogEntry): void {
    this.world.output.set(id, [...(this.world.output.get(id) ?? []), entry]);
  }
}

function endOf(run: ScriptedRun): number {
  return Math.min(run.startedAtMs + (run.behaviour.runForMs ?? Infinity), run.stopAtMs);
}

function exitOf(run: ScriptedRun): Exit {
  const stopped = run.stopAtMs <= run.startedAtMs + (run.behaviour.runForMs ?? Infinity);
  return stopped ? { code: null, signal: run.stopSignal } : { code: run.behaviour.exitCode ?? 0, signal: null };
}
