/** Runs workloads as plain processes of this machine, each under a shim that outlives the agent. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, fchownSync, fstatSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Signal } from '../../workloads/workload';
import { causeOf, warningOf } from './limit-words';
import type { Launch, ListeningSocket, RunView, WorkloadRuntime } from '../runtime';
import { Cgroups } from './cgroups/cgroups';
import type { Control } from './cgroups/hierarchies';
import { RunGroup } from './cgroups/run-group';
import { LogFiles } from './log-files';
import { LogGuard } from './log-guard';
import { LogRate } from './log-rate';
import { openSockets, socketsNamed } from './listening-sockets';
import { isAlive, type ProcessIdentity } from './process-table';
import { ProcessTree } from './process-tree';
import { RunFolder, runsIn } from './run-folder';
import { findApp, firstProcess } from './sandboxed-app';
import { installScripts, type Scripts } from './shim';

/** Runs that stay on record for their exit codes, the newest included. */
const RUNS_KEPT = 3;
/** How long a shim may take to bring its command to life before the run is given up. */
const BIRTH_MS = 10_000;
/** How long a shim may take to write the exit code after the command is gone. */
const EXIT_WRITE_MS = 1_000;
/** How long a command that has sockets must have lived to be started again by its shim. */
const REVIVED_AFTER_S = 5;
/** How long processes that were killed may take to be gone when the runtime closes. */
const REAPED_MS = 1_000;
/** Descriptor of the first socket in the command, behind input, output and errors. */
const firstSocket = 3;

export interface ProcessRuntimeOptions {
  /** `workloads/`. */
  folder: string;
  /** Where the scripts are put. */
  scripts: string;
  /** Distinguishes this Alto from others on the machine: names its cgroup. */
  name: string;
  logBytesMax: number;
  /** How often logs are measured. */
  logBoundEveryMs?: number;
  revivedAfterS?: number;
  /** False: descendants are recorded even where cgroups can be had. */
  useCgroups?: boolean;
}

export class ProcessRuntime implements WorkloadRuntime {
  readonly name = 'process';
  readonly logs: LogFiles;
  private readonly tree = new ProcessTree();
  private readonly rate = new LogRate();
  /** Ended runs without a living process: nothing about them changes any more. */
  private readonly settled = new Set<string>();
  /** Groups of ended runs that still hold a process that nobody has waited for, as recorded. */
  private readonly leaving = new Set<string>();
  /** When something that should have been seen was first missed, by run folder. */
  private readonly missedSinceMs = new Map<string, number>();

  private constructor(
    private readonly folder: string,
    private readonly scripts: Scripts,
    private readonly cgroups: Cgroups | undefined,
    private readonly guard: LogGuard,
    private readonly revivedAfterS: number,
  ) {
    this.logs = new LogFiles((id) => this.logPath(id));
  }

  static async open(options: ProcessRuntimeOptions): Promise<ProcessRuntime> {
    mkdirSync(options.folder, { recursive: true, mode: 0o711 });
    const scripts = await installScripts(options.scripts);
    const cgroups = options.useCgroups === false ? undefined : Cgroups.find(`alto-${options.name}`);
    const guard = new LogGuard(scripts.logGuard, options.folder, options.logBytesMax, options.logBoundEveryMs ?? 5_000);
    guard.ensure();
    const revivedAfterS = options.revivedAfterS ?? REVIVED_AFTER_S;
    return new ProcessRuntime(options.folder, scripts, cgroups, guard, revivedAfterS);
  }

  async start(launch: Launch): Promise<number> {
    const before = await this.observe(launch.id);
    if (
      before.state === 'running' ||
      before.state === 'starting' ||
      (before.state === 'ended' && before.leftovers > 0)
    ) {
      throw new Error(`Workload ${launch.id} still has processes of run ${before.run}.`);
    }
    const runs = runsIn(this.workloadPath(launch.id));
    for (const old of runs) this.removeGroup(old);
    for (const old of runs.slice(0, -(RUNS_KEPT - 1))) this.removeRun(old);
    mkdirSync(this.workloadPath(launch.id), { recursive: true, mode: 0o711 });
    const number = (runs.at(-1)?.run ?? 0) + 1;
    const run = new RunFolder(join(this.workloadPath(launch.id), String(number)), number);
    run.create(launch.user);
    await this.spawnShim(launch, run);
    return number;
  }

  async observe(id: string): Promise<RunView> {
    const run = this.newest(id);
    if (!run) return { state: 'none' };
    const main = run.main;
    if (run.exit && !(main && this.isClosing(id, run))) return this.ended(id, run);
    if (!main) return this.unborn(id, run);
    if (run.exit) return running(run, run.app ?? main);
    if (isAlive(main)) return this.alive(run, main);
    return this.gone(id, run, main);
  }

  async signal(id: string, signal: Signal): Promise<void> {
    const run = this.newest(id);
    if (run) this.tellShim(run);
    const target = run && (run.confined ? run.app : run.main);
    if (target && isAlive(target)) sendSignal(target.pid, signal);
  }

  async kill(id: string, cause?: string): Promise<void> {
    const run = this.newest(id);
    if (!run) return;
    if (cause !== undefined && run.exit === undefined) writeIfPossible(() => (run.cause = cause));
    this.tellShim(run);
    this.tree.kill(run, this.marker(id, run));
  }

  async forget(id: string): Promise<void> {
    const view = await this.observe(id);
    const alive =
      view.state === 'running' || view.state === 'starting' || (view.state === 'ended' && view.leftovers > 0);
    if (alive) throw new Error(`Workload ${id} still has processes; stop it before forgetting it.`);
    for (const run of runsIn(this.workloadPath(id))) this.removeRun(run);
    rmSync(this.workloadPath(id), { recursive: true, force: true });
  }

  async list(): Promise<string[]> {
    const entries = readdirSync(this.folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }

  async track(): Promise<void> {
    this.guard.ensure();
    for (const record of this.leaving) if (RunGroup.parse(record).remove()) this.leaving.delete(record);
    const newest = (await this.list()).map((id) => ({ id, run: this.newest(id) }));
    const living = newest.filter(({ run }) => run !== undefined && run.exit === undefined);
    this.tree.record(living.flatMap(({ run }) => run ?? []));
    for (const { id, run } of living) if (run) await this.holdLog(id, run);
    this.rate.keep(new Set(living.map(({ id }) => id)));
  }

  async close(): Promise<void> {
    this.guard.end();
    // What was killed is in its group until it has been waited for.
    for (let waitedMs = 0; this.cgroups?.close() === false && waitedMs < REAPED_MS; waitedMs += 20) await delay(20);
  }

  /** What of a run this machine can bound. */
  get bounded(): ReadonlySet<Control> {
    return this.cgroups?.controls ?? new Set();
  }

  /** Where a workload's output goes. */
  logPath(id: string): string {
    return join(this.workloadPath(id), 'log');
  }

  private workloadPath(id: string): string {
    return join(this.folder, id);
  }

  private newest(id: string): RunFolder | undefined {
    return runsIn(this.workloadPath(id)).at(-1);
  }

  /** In the environment of every process of a run, unless it takes pains to lose it. */
  private marker(id: string, run: RunFolder): string {
    return `ALTO_RUN=${this.folder}/${id}/${run.run}`;
  }

  /** What is about to happen to its command is meant: it is not to be started again. */
  private tellShim({ shim }: RunFolder): void {
    if (shim && isAlive(shim)) sendSignal(shim.pid, 'SIGTERM');
  }

  private async spawnShim(launch: Launch, run: RunFolder): Promise<void> {
    const log = openSync(this.logPath(launch.id), 'a', 0o600);
    const marker = this.marker(launch.id, run);
    const [name = '', value = ''] = splitAt(marker, marker.indexOf('='));
    run.confined = launch.confinement !== undefined;
    const owner = launch.confinement?.user;
    try {
      // So that the app may open its own output by name, as /dev/stdout.
      if (owner) fchownSync(log, owner.uid, owner.gid);
      const rate = launch.limits?.logBytesPerSecond;
      if (rate !== undefined) this.rate.begin(launch.id, rate, fstatSync(log).size, performance.now());
      const named = socketsNamed(launch.sockets ?? []);
      const { action, command, env, input } = this.shimCall(launch, { [name]: value }, run, named);
      const sockets = await openSockets(named);
      const child = inOneTurn(sockets.close, () =>
        spawn('/bin/sh', [this.scripts.shim, action, run.path, ...command], {
          cwd: launch.cwd,
          env,
          stdio: ['pipe', log, log, ...sockets.descriptors],
          detached: true,
          ...(launch.user && { uid: launch.user.uid, gid: launch.user.gid }),
        }),
      );
      await spawned(child);
      if (child.pid !== undefined) this.bound(launch, run, child.pid);
      child.stdin?.on('error', ignoreBrokenPipe).end(`go\n${input}`);
      child.unref();
    } catch (error) {
      run.giveUp();
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`Cannot start ${launch.id} in ${launch.cwd}: ${reason}`, { cause: error });
    } finally {
      closeSync(log);
    }
  }

  /** How the shim is called, and what comes after its line. */
  private shimCall(launch: Launch, marker: Record<string, string>, run: RunFolder, sockets: ListeningSocket[]) {
    const { command, confinement } = launch;
    const env = { ...launch.env, ...marker };
    if (sockets.length > 0) {
      const named = sockets.map(({ variable }, index) => [variable, `fd@${firstSocket + index}`]);
      const again = [String(this.revivedAfterS), ...command];
      return { action: 'keep', command: again, env: { ...env, ...Object.fromEntries(named) }, input: '' };
    }
    if (!confinement) return { action: 'supervise', command, env, input: '' };
    const { launcher, options, filter } = confinement;
    const variables = Object.entries(env).flatMap(([name, value]) => ['--setenv', name, value]);
    const descriptors = ['--info-fd', '3', ...(filter === undefined ? [] : ['--seccomp', '4']), '--args', '5'];
    const enter = ['/bin/sh', this.scripts.enter, run.sandboxInfoPath, filter ?? '/dev/null'];
    return {
      action: 'supervise-input',
      command: [...enter, ...launcher, ...descriptors, '--', ...command],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...marker },
      input: ['--clearenv', ...variables, ...options].map((word) => `${word}\0`).join(''),
    };
  }

  private async holdLog(id: string, run: RunFolder): Promise<void> {
    const rate = run.limits?.logBytesPerSecond;
    if (rate === undefined) return;
    const dropped = await this.rate.hold(id, this.logPath(id), rate, performance.now());
    if (!dropped) return;
    const text = `Dropped ${dropped.bytes} bytes of its output: more than ${rate} bytes a second are not kept`;
    await this.logs.note(id, text, new Date());
  }

  /** The shim waits for its `go` meanwhile: nothing of the run exists outside of the group. */
  private bound({ id, limits }: Launch, run: RunFolder, pid: number): void {
    run.group = this.cgroups?.enter(`${id}.${run.run}`, pid, limits);
    run.limits = limits;
  }

  /** Written down before the group goes, which alone knows. */
  private explain(run: RunFolder): void {
    const { exit, limits, group } = run;
    if (this.settled.has(run.path) || !exit || exit.cause !== undefined || !limits || !group) return;
    const cause = causeOf(exit, limits, group);
    if (cause !== undefined) writeIfPossible(() => (run.cause = cause));
  }

  private removeGroup({ group }: RunFolder): void {
    if (group && !group.remove()) this.leaving.add(group.record);
  }

  private removeRun(run: RunFolder): void {
    this.removeGroup(run);
    this.settled.delete(run.path);
    rmSync(run.path, { recursive: true, force: true });
  }

  private ended(id: string, run: RunFolder): RunView {
    this.missedSinceMs.delete(run.path);
    this.explain(run);
    const exit = run.exit ?? { code: null, signal: null };
    const leftovers = this.settled.has(run.path) ? 0 : this.tree.living(run, this.marker(id, run)).length;
    if (leftovers === 0 && !this.settled.has(run.path)) {
      this.removeGroup(run);
      this.settled.add(run.path);
    }
    return { state: 'ended', run: run.run, exit, endedAtMs: run.endedAtMs, leftovers, ...revived(run) };
  }

  /** The first process of a sandbox goes a moment after the app: left behind is only what stays longer, or is more. */
  private isClosing(id: string, run: RunFolder): boolean {
    if (!run.confined || this.settled.has(run.path) || Date.now() - run.endedAtMs > EXIT_WRITE_MS) return false;
    const living = this.tree.living(run, this.marker(id, run));
    return living.length === 1 && living[0]?.pid === firstProcess(run.sandboxInfoPath);
  }

  /** A sandbox runs once its app does. */
  private alive(run: RunFolder, main: ProcessIdentity): RunView {
    if (!run.confined) return running(run, main);
    run.app ??= findApp(run.sandboxInfoPath, main);
    return run.app ? running(run, run.app) : { state: 'starting', run: run.run };
  }

  /** No process seen yet. Its shim is waited for while it lives, and a little longer for one not yet recorded. */
  private unborn(id: string, run: RunFolder): RunView {
    const overdue = this.missedForMs(run) > (run.shim && !isAlive(run.shim) ? EXIT_WRITE_MS : BIRTH_MS);
    if (overdue && run.giveUp()) return this.ended(id, run);
    return { state: 'starting', run: run.run };
  }

  /** The process is gone and its exit not written: the shim is about to, or it was killed too. */
  private gone(id: string, run: RunFolder, main: ProcessIdentity): RunView {
    const shimLives = run.shim !== undefined && isAlive(run.shim);
    if (this.settled.has(run.path) || (!shimLives && this.missedForMs(run) > EXIT_WRITE_MS)) {
      writeIfPossible(() => run.endWith({ code: null, signal: null }));
      return this.ended(id, run);
    }
    return running(run, run.app ?? main);
  }

  private missedForMs(run: RunFolder): number {
    const since = this.missedSinceMs.get(run.path) ?? performance.now();
    this.missedSinceMs.set(run.path, since);
    return performance.now() - since;
  }
}

function running(run: RunFolder, main: ProcessIdentity): RunView {
  const { limits, group } = run;
  const warning = limits && group && warningOf(limits, group);
  const { startedAtMs } = run;
  const view = { state: 'running', run: run.run, pid: main.pid, startedAtMs, ...revived(run) } as const;
  return warning === undefined ? view : { ...view, warning };
}

function revived({ revivals }: RunFolder): { revivals?: number } {
  return revivals === 0 ? {} : { revivals };
}

/** Whatever comes of it: a process that could not be made must not leave the ports to this one. */
function inOneTurn<T>(close: () => void, body: () => T): T {
  try {
    return body();
  } finally {
    close();
  }
}

/** Resolves when the process exists; a program or folder that is missing rejects. */
function spawned(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once('spawn', resolve);
  child.once('error', reject);
  return promise;
}

function sendSignal(pid: number, signal: Signal): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** It may be this very run that has filled the disk: it must end for there to be room, whether that is told or not. */
function writeIfPossible(write: () => void): void {
  try {
    write();
  } catch {
    return;
  }
}

/** The shim may be gone before it has read: `observe` will tell. */
function ignoreBrokenPipe(): void {}

function splitAt(text: string, index: number): [string, string] {
  return [text.slice(0, index), text.slice(index + 1)];
}
