/**
 * Brings what runs to what is wanted, and keeps it there. Level-triggered: each round looks at every workload as it
 * is and takes its next step; nothing depends on having seen an event.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Clock, Log } from '@alto/platform';
import type { Launch, RunView, WorkloadRuntime } from '../runtime/runtime';
import { HealthMonitor } from './health-monitor';
import { LivenessMonitor } from './liveness-monitor';
import type { CheckReadiness } from './readiness';
import type { Workload } from './workload';
import {
  afterFailedStart,
  afterStart,
  decide,
  describeExit,
  emptyMemory,
  type Decision,
  type Phase,
  type WorkloadMemory,
} from './workload.state';

/** Pause between rounds while something is on its way, and while all is settled. */
const ROUND_MS = { busy: 100, settled: 500 };
const TRACK_EVERY_MS = 2_000;
/** A dependency that does not get ready holds its dependants no longer than this, unless it must complete. */
const DEPENDENCY_WAIT_MS = 60_000;

/** Where memories are kept; writing to disk is its business. */
export interface MemoryStore {
  get(id: string): WorkloadMemory | undefined;
  set(id: string, memory: WorkloadMemory): void;
}

export interface SupervisorOptions {
  runtime: WorkloadRuntime;
  clock: Clock;
  /** For what is due while this agent lives: goes on evenly, also when the machine's clock is set. */
  uptimeMs?: () => number;
  log: Log;
  memories: MemoryStore;
  check: CheckReadiness;
  /** Makes what a run needs on disk, before each run. @returns variables for its process alone: secrets */
  prepare?: (workload: Workload, progress: (reason: string) => void) => Promise<Readonly<Record<string, string>>>;
  /** Walls in what was prepared. */
  confine?: (workload: Workload, launch: Launch) => Launch;
}

export interface WorkloadStatus {
  id: string;
  kind: Workload['kind'];
  name: string;
  want: 'running' | 'stopped';
  phase: Phase;
  reason: string;
  pid: number | null;
  run: number;
  startedAtMs: number | null;
  restarts: number;
  exitCode: number | null;
  exitSignal: string | null;
  ports: Readonly<Record<string, number>>;
  release: { service: string; version: string } | null;
  /** It runs from another specification than the present one, until it is restarted. */
  outdated: boolean;
}

interface Unit {
  workload: Workload;
  want: 'running' | 'stopped';
  /** In the agent's uptime. */
  wantedSinceMs: number;
  phase: Phase;
  reason: string;
  view: RunView;
  health: HealthMonitor;
  liveness: LivenessMonitor;
  /** Since when, in the agent's uptime, its run is to be told to stop and could not be. */
  untoldSinceMs: number | undefined;
  /** Preparing and starting go on beside the rounds. */
  starting: Promise<void> | undefined;
}

export class Supervisor {
  private readonly units = new Map<string, Unit>();
  private readonly listeners = new Set<() => void>();
  private readonly everReady = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private round: Promise<void> | undefined;
  private looping = false;
  private woken = false;
  private trackedAtMs = Number.NEGATIVE_INFINITY;
  private readonly uptimeMs: () => number;

  constructor(private readonly options: SupervisorOptions) {
    this.uptimeMs = options.uptimeMs ?? (() => performance.now());
  }

  /** Says what a workload is to be from now on. A specification that changed is used by the next run. */
  want(workload: Workload, want: 'running' | 'stopped'): void {
    const unit = this.units.get(workload.id);
    if (!unit) {
      this.units.set(workload.id, this.newUnit(workload, want));
    } else {
      if (unit.want !== want) unit.wantedSinceMs = this.uptimeMs();
      unit.workload = workload;
      unit.want = want;
    }
    this.wake();
  }

  /**
   * Drops a workload that has exited. Its records in the runtime stay, and its memory: should it come back,
   * its last end is counted already. @throws Error while it has not exited
   */
  drop(id: string): void {
    const unit = this.units.get(id);
    if (!unit) return;
    if (unit.phase !== 'exited' || unit.starting) throw new Error(`Workload ${id} has not exited.`);
    this.units.delete(id);
  }

  status(id: string): WorkloadStatus | undefined {
    const unit = this.units.get(id);
    return unit && this.statusOf(unit);
  }

  statuses(): WorkloadStatus[] {
    return [...this.units.values()].map((unit) => this.statusOf(unit));
  }

  workloads(): Workload[] {
    return [...this.units.values()].map((unit) => unit.workload);
  }

  /** Called after each change of a phase or reason. Returns how to end it. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Resolves with the status once it fits, or with the one it has when time is up. */
  async until(
    id: string,
    fits: (status: WorkloadStatus | undefined) => boolean,
    withinMs: number,
  ): Promise<WorkloadStatus | undefined> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (fits(this.status(id))) resolve();
    };
    const end = this.onChange(look);
    const timer = setTimeout(resolve, withinMs);
    look();
    await promise;
    end();
    clearTimeout(timer);
    return this.status(id);
  }

  /** Begins the rounds. */
  start(): void {
    this.looping = true;
    this.schedule(0);
  }

  /** Ends the rounds; all that runs goes on. */
  async stop(): Promise<void> {
    this.looping = false;
    clearTimeout(this.timer);
    await this.round;
    await Promise.allSettled([...this.units.values()].map((unit) => unit.starting));
  }

  /** Looks again soon; during a round, right after it. */
  wake(): void {
    this.woken = true;
    if (this.looping && !this.round) this.schedule(0);
  }

  /** One round: one step for each workload. */
  async tick(): Promise<void> {
    await this.track();
    // One that cannot be looked after neither keeps the others from their step nor lets the next round begin beside it.
    await Promise.all([...this.units.values()].map((unit) => this.stepAlone(unit)));
  }

  /** Resolves when every start and check that was begun has ended; for tests that turn the rounds themselves. */
  async idle(): Promise<void> {
    for (const unit of this.units.values()) {
      await unit.starting;
      await unit.health.settled();
      await unit.liveness.settled();
    }
  }

  private schedule(delayMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.runRound(), delayMs);
  }

  private async runRound(): Promise<void> {
    this.woken = false;
    this.round = this.tick().catch((error: unknown) =>
      this.options.log.error('A round of supervision failed', { error }),
    );
    await this.round;
    this.round = undefined;
    if (!this.looping) return;
    const pauseMs = this.settled() ? ROUND_MS.settled : ROUND_MS.busy;
    this.schedule(this.woken ? 0 : pauseMs);
  }

  private settled(): boolean {
    const atRest: Phase[] = ['ready', 'completed', 'failed', 'exited', 'backoff'];
    return [...this.units.values()].every((unit) => !unit.starting && atRest.includes(unit.phase));
  }

  private async track(): Promise<void> {
    if (this.uptimeMs() - this.trackedAtMs < TRACK_EVERY_MS) return;
    this.trackedAtMs = this.uptimeMs();
    try {
      await this.options.runtime.track?.();
    } catch (error) {
      // It is written to the disk, which may be full: what can be done without is done.
      this.options.log.warn('The processes of workloads could not be recorded', { error });
    }
  }

  private async stepAlone(unit: Unit): Promise<void> {
    try {
      await this.step(unit);
    } catch (error) {
      this.options.log.error('A workload could not be looked after', { workload: unit.workload.id, error });
    }
  }

  private async step(unit: Unit): Promise<void> {
    if (unit.starting) return;
    const { runtime, clock } = this.options;
    const { workload } = unit;
    unit.view = await runtime.observe(workload.id);
    // Dropped meanwhile: what is remembered of it now nobody would forget.
    if (this.units.get(workload.id) !== unit) return;
    const before = this.memoryOf(workload.id);
    const decision = decide({
      want: unit.want,
      restart: workload.restart,
      oneShot: workload.oneShot,
      isProxy: workload.kind === 'proxy',
      stop: stopOf(workload, before),
      memory: before,
      view: unit.view,
      health: this.healthOf(unit, before),
      dead: this.problemOf(unit, before),
      blocked: this.blockedBy(unit),
      nowMs: clock.nowMs(),
    });
    if (decision.action !== 'signal') this.remember(workload.id, before, decision.memory);
    const isNews = unit.reason !== decision.reason;
    // Shown before anything is awaited: a workload that waits for this one's lock sees that it has begun.
    this.show(unit, decision.phase, decision.reason);
    await this.noteEnd(unit, before, decision);
    await this.act(unit, decision);
    if (decision.action === 'signal' || (isNews && decision.action === 'kill')) await this.note(unit, decision.reason);
  }

  private async act(unit: Unit, decision: Decision): Promise<void> {
    const { id } = unit.workload;
    if (decision.action !== 'signal') unit.untoldSinceMs = undefined;
    if (decision.action === 'signal') await this.tellToStop(unit, decision.memory);
    if (decision.action === 'kill') await this.options.runtime.kill(id);
    if (decision.action !== 'start') return;
    unit.starting = this.begin(unit).finally(() => {
      unit.starting = undefined;
      this.wake();
    });
  }

  /**
   * That it was told is remembered once it was: sent twice a signal does no harm, never sent it costs the run its grace.
   * One that cannot be told has that grace as well, and is then killed.
   */
  private async tellToStop(unit: Unit, told: WorkloadMemory): Promise<void> {
    const { id } = unit.workload;
    const { signal, graceMs } = stopOf(unit.workload, told);
    const triedForMs = this.uptimeMs() - (unit.untoldSinceMs ??= this.uptimeMs());
    try {
      await this.options.runtime.signal(id, signal);
      this.remember(id, undefined, told);
    } catch (error) {
      const sentAtMs = told.stopSentAtMs - triedForMs;
      if (triedForMs >= graceMs) this.remember(id, undefined, { ...told, stopSentAtMs: sentAtMs });
      throw error;
    }
  }

  /** Prepares and starts a run. A failure is remembered and tried again with backoff. */
  private async begin(unit: Unit): Promise<void> {
    const { runtime, prepare, confine, clock, log } = this.options;
    const { workload } = unit;
    try {
      const secrets = await prepare?.(workload, (reason) => this.show(unit, 'starting', reason));
      if (unit.want === 'stopped') return;
      const launch: Launch = { ...workload, env: { ...workload.env, ...secrets } };
      const run = await runtime.start(confine ? confine(workload, launch) : launch);
      this.remember(workload.id, undefined, afterStart(this.memoryOf(workload.id), digestOf(workload)));
      log.info('Started a workload', { workload: workload.id, run });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.warn('A workload could not be started', { workload: workload.id, error });
      const memory = this.memoryOf(workload.id);
      this.remember(workload.id, memory, afterFailedStart(memory, message, clock.nowMs()));
    }
  }

  private healthOf(unit: Unit, memory: WorkloadMemory) {
    const { view } = unit;
    if (view.state !== 'running') return { state: 'unknown', reason: null } as const;
    const health = unit.health.healthOf(view.run, memory.readyRun === view.run && memory.readySinceMs !== null);
    unit.health.poll(unit.workload, () => this.wake());
    return health;
  }

  /** A run is asked whether it works once it was ready; before that it may take its time. */
  private problemOf(unit: Unit, memory: WorkloadMemory): string | null {
    const { view, workload } = unit;
    if (view.state !== 'running' || !workload.liveness || memory.readyRun !== view.run) return null;
    const problem = unit.liveness.problemOf(view.run);
    unit.liveness.poll(workload, () => this.wake());
    return problem;
  }

  /** Why a workload may not start yet: what it stands on is not ready, or its lock is held. */
  private blockedBy(unit: Unit): string | null {
    if (unit.view.state === 'running') return null;
    const holder = this.lockHolder(unit.workload);
    if (holder) return `Waits until ${holder.workload.id} is gone`;
    const patient = this.uptimeMs() - unit.wantedSinceMs < DEPENDENCY_WAIT_MS;
    const missing = unit.workload.dependsOn.find((name) => !this.isMet(name, patient));
    if (missing !== undefined) return `Waits for ${missing}`;
    const { needsFile } = unit.workload;
    return needsFile === undefined || existsSync(needsFile) ? null : `Waits for ${needsFile}`;
  }

  private lockHolder({ id, lock }: Workload): Unit | undefined {
    if (lock === undefined) return undefined;
    return [...this.units.values()].find(
      (other) =>
        other.workload.id !== id &&
        other.workload.lock === lock &&
        (other.starting !== undefined ||
          !['exited', 'waiting', 'completed', 'failed', 'backoff'].includes(other.phase)),
    );
  }

  private isMet(name: string, patient: boolean): boolean {
    const units = [...this.units.values()].filter((unit) => unit.workload.name === name && unit.want === 'running');
    if (units.some(({ workload }) => workload.oneShot)) return units.some(({ phase }) => phase === 'completed');
    return !patient || this.everReady.has(name);
  }

  private show(unit: Unit, phase: Phase, reason: string): void {
    if (phase === 'ready') this.everReady.add(unit.workload.name);
    if (unit.phase === phase && unit.reason === reason) return;
    if (unit.phase !== phase)
      this.options.log.debug('A workload changed', { workload: unit.workload.id, phase, reason });
    unit.phase = phase;
    unit.reason = reason;
    for (const listener of this.listeners) listener();
  }

  private async noteEnd(unit: Unit, before: WorkloadMemory, decision: Decision): Promise<void> {
    if (decision.memory.countedRun === before.countedRun) return;
    const { lastExit, countedRun } = decision.memory;
    this.options.log.info('A workload ended', { workload: unit.workload.id, run: countedRun, exit: lastExit });
    await this.note(unit, decision.phase === 'backoff' ? decision.reason : describeExit(lastExit));
  }

  /** Into the workload's own log: there its people look for why. A full disk keeps nothing from being done. */
  private async note(unit: Unit, text: string): Promise<void> {
    const { runtime, clock, log } = this.options;
    try {
      await runtime.logs?.note(unit.workload.id, text, clock.now());
    } catch (error) {
      log.warn('The log of a workload takes no note', { workload: unit.workload.id, note: text, error });
    }
  }

  private memoryOf(id: string): WorkloadMemory {
    return this.options.memories.get(id) ?? emptyMemory;
  }

  private remember(id: string, before: WorkloadMemory | undefined, after: WorkloadMemory): void {
    if (after !== before) this.options.memories.set(id, after);
  }

  private newUnit(workload: Workload, want: Unit['want']): Unit {
    return {
      workload,
      want,
      wantedSinceMs: this.uptimeMs(),
      phase: 'waiting',
      reason: 'Not looked at yet',
      view: { state: 'none' },
      health: new HealthMonitor(this.uptimeMs, this.options.check),
      liveness: new LivenessMonitor(this.uptimeMs, this.options.check),
      untoldSinceMs: undefined,
      starting: undefined,
    };
  }

  private statusOf({ workload, want, phase, reason, view }: Unit): WorkloadStatus {
    const memory = this.memoryOf(workload.id);
    const running = view.state === 'running' ? view : undefined;
    return {
      id: workload.id,
      kind: workload.kind,
      name: workload.name,
      want,
      phase,
      reason,
      pid: running?.pid ?? null,
      run: view.state === 'none' ? 0 : view.run,
      startedAtMs: running?.startedAtMs ?? null,
      restarts: memory.restarts + (running?.revivals ?? 0),
      exitCode: memory.lastExit?.code ?? null,
      exitSignal: memory.lastExit?.signal ?? null,
      ports: workload.ports,
      release: workload.release,
      outdated: running !== undefined && memory.digest !== null && memory.digest !== digestOf(workload),
    };
  }
}

/** What no longer works is not given the time of one that finishes what it does. */
function stopOf({ stop, liveness }: Workload, { stopReason }: WorkloadMemory): Workload['stop'] {
  return stopReason === null || liveness?.graceMs === undefined ? stop : { ...stop, graceMs: liveness.graceMs };
}

/** Fingerprint of what a process is started from. */
export function digestOf({ command, env, cwd, user, sockets }: Workload): string {
  const facts = [command, Object.entries(env).sort(), cwd, user ?? null, ...(sockets ?? [])];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}
