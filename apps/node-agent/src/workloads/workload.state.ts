/**
 * What to do next with one workload. Pure: the same situation gives the same decision, whatever happened before
 * and however often it is asked, so a decision whose action was lost is simply made again.
 *
 *              dependencies, lock                     checks pass
 *   waiting ───────────────────────▶ starting ───────────────────▶ ready ◀──┐
 *      ▲                               │  ▲                          │      │ checks pass
 *      │ not yet due            it ends│  │ due again          3 fail▼      │
 *   (restart)                          ▼  │                        unready ─┘
 *      └──────────────────────────── backoff ◀──── it ends ──────────┘
 *
 *   wanted stopped, from anywhere: stopping ──▶ exited.
 *   ended for good by its restart policy: completed (code 0) or failed.
 *
 * A run that was ready and whose liveness fails is stopped likewise, and counts as an end by itself.
 *
 * Promises: no run begins while a process of the run before is alive; a run is told to stop before it is killed, once
 * unless the agent dies just then, and SIGKILL goes to the whole tree after the grace; an end is counted once, also
 * when nobody was there to see it.
 */
import type { Exit, RunView } from '../runtime/runtime';
import { backoffMs, HEALTHY_RESET_MS } from './backoff';
import type { RestartPolicy, StopPolicy } from './workload';

export type Phase =
  'waiting' | 'starting' | 'ready' | 'unready' | 'backoff' | 'stopping' | 'exited' | 'completed' | 'failed';

/** What must outlive the agent; kept in its state file. */
export interface WorkloadMemory {
  /** Runs begun because the one before ended by itself, and processes started again within the runs that have ended. */
  restarts: number;
  /** Ends and failed starts in a row without a long healthy time between. */
  failures: number;
  /** Newest run whose end is in these numbers. */
  countedRun: number;
  lastExit: Exit | null;
  /** Why the last start failed before there was a process. */
  lastError: string | null;
  /** Unix milliseconds before which it is not started again. */
  notBeforeMs: number;
  /** Newest run that was ever ready. */
  readyRun: number;
  /** Since when it is ready without a break; null while it is not. */
  readySinceMs: number | null;
  /** Run that was told to stop, and when. */
  stopRun: number;
  stopSentAtMs: number;
  /** Why that run was stopped to be started again; null: it was not wanted any more. */
  stopReason: string | null;
  /** Fingerprint of the specification that the newest run was started from. */
  digest: string | null;
}

export const emptyMemory: WorkloadMemory = {
  restarts: 0,
  failures: 0,
  countedRun: 0,
  lastExit: null,
  lastError: null,
  notBeforeMs: 0,
  readyRun: 0,
  readySinceMs: null,
  stopRun: 0,
  stopSentAtMs: 0,
  stopReason: null,
  digest: null,
};

export interface Health {
  state: 'unknown' | 'ready' | 'failing';
  /** What the last failed check found, in words. */
  reason: string | null;
}

export interface Situation {
  want: 'running' | 'stopped';
  restart: RestartPolicy;
  oneShot: boolean;
  /** Everything goes through it: after long health its first end is no reason to wait. */
  isProxy: boolean;
  stop: StopPolicy;
  memory: WorkloadMemory;
  view: RunView;
  health: Health;
  /** Why the run that was ready must be replaced; null: it works. */
  dead: string | null;
  /** Why it may not be started yet; null: it may. */
  blocked: string | null;
  nowMs: number;
}

export interface Decision {
  phase: Phase;
  /** In words, for people. */
  reason: string;
  action: 'none' | 'start' | 'signal' | 'kill';
  /** The one of the situation, the same object, where nothing is new: what is new is written to the disk. */
  memory: WorkloadMemory;
}

export function decide(situation: Situation): Decision {
  const { view, want } = situation;
  if (view.state === 'ended' && view.leftovers > 0) {
    const reason = `Killing ${view.leftovers} processes that the last run left behind`;
    return { phase: 'stopping', reason, action: 'kill', memory: situation.memory };
  }
  const counted = { ...situation, memory: withinReach(countEnd(situation), situation.nowMs) };
  return want === 'stopped' ? decideStopped(counted) : decideRunning(counted);
}

/** The memory after a start that failed before there was a process. */
export function afterFailedStart(memory: WorkloadMemory, message: string, nowMs: number): WorkloadMemory {
  const failures = memory.failures + 1;
  return { ...memory, failures, lastError: message, notBeforeMs: nowMs + backoffMs(failures) };
}

/** The memory after a start that made a process. */
export function afterStart(memory: WorkloadMemory, digest: string): WorkloadMemory {
  return { ...memory, lastError: null, stopReason: null, readySinceMs: null, digest };
}

export function describeExit(exit: Exit | null): string {
  if (exit === null) return 'Not started yet';
  if (exit.cause !== undefined) return `${describeExit({ code: exit.code, signal: exit.signal })}: ${exit.cause}`;
  if (exit.signal !== null) return `Ended by ${exit.signal}`;
  if (exit.code === null) return 'Ended, and nobody saw how';
  if (exit.code === 127) return 'Ended with code 127: its program was not found';
  if (exit.code === 126) return 'Ended with code 126: its program could not be run';
  return `Ended with code ${exit.code}`;
}

function countEnd({ view, memory, restart, oneShot, isProxy }: Situation): WorkloadMemory {
  if (view.state !== 'ended' || view.run <= memory.countedRun) return memory;
  const seen = { ...memory, countedRun: view.run, lastExit: view.exit, readySinceMs: null };
  const wasDead = isRestarted(memory, view.run);
  if (memory.stopRun === view.run && !wasDead) return { ...seen, failures: 0, notBeforeMs: 0 };
  if (wasDead ? restart === 'never' : endsForGood(view.exit, restart, oneShot)) return seen;
  const healthyMs = memory.readySinceMs === null ? 0 : view.endedAtMs - memory.readySinceMs;
  const failures = healthyMs >= HEALTHY_RESET_MS ? 1 : memory.failures + 1;
  const isFirst = failures === 1 && memory.readySinceMs !== null;
  const restarts = memory.restarts + (view.revivals ?? 0) + 1;
  const notBeforeMs = view.endedAtMs + (isProxy && isFirst ? 0 : backoffMs(failures));
  return { ...seen, failures, restarts, notBeforeMs, lastError: memory.stopReason };
}

/**
 * What lies further ahead than it can was written before the clock was set back. Taken as it is, it would hold the
 * workload up until the clock is there again.
 */
function withinReach(memory: WorkloadMemory, nowMs: number): WorkloadMemory {
  const notBeforeMs = Math.min(memory.notBeforeMs, nowMs + backoffMs(Math.max(1, memory.failures)));
  const stopSentAtMs = Math.min(memory.stopSentAtMs, nowMs);
  const readySinceMs = memory.readySinceMs === null ? null : Math.min(memory.readySinceMs, nowMs);
  const isReached =
    notBeforeMs === memory.notBeforeMs && stopSentAtMs === memory.stopSentAtMs && readySinceMs === memory.readySinceMs;
  return isReached ? memory : { ...memory, notBeforeMs, stopSentAtMs, readySinceMs };
}

/** It was stopped because it had ceased to work. */
function isRestarted(memory: WorkloadMemory, run: number): boolean {
  return memory.stopRun === run && memory.stopReason !== null;
}

function endsForGood(exit: Exit, restart: RestartPolicy, oneShot: boolean): boolean {
  if (restart === 'never') return true;
  return exit.code === 0 && (oneShot || restart === 'on-failure');
}

function decideRunning(situation: Situation): Decision {
  const { view, memory, restart, oneShot } = situation;
  switch (view.state) {
    case 'none':
      return startWhenDue(situation);
    case 'starting':
      return { phase: 'starting', reason: 'The process is being started', action: 'none', memory };
    case 'running':
      return memory.stopRun === view.run || situation.dead !== null
        ? decideStopped(situation)
        : warned(judgeHealth(situation, view.run), view.warning);
    case 'ended': {
      const wasDead = isRestarted(memory, view.run);
      const again = wasDead ? restart !== 'never' : !endsForGood(view.exit, restart, oneShot);
      if (again || (memory.stopRun === view.run && !wasDead)) return startWhenDue(situation);
      const phase = view.exit.code === 0 && !wasDead ? 'completed' : 'failed';
      const reason = memory.stopReason ?? describeExit(view.exit);
      return { phase, reason, action: 'none', memory };
    }
  }
}

function startWhenDue({ memory, blocked, nowMs }: Situation): Decision {
  if (nowMs < memory.notBeforeMs) {
    const seconds = Math.ceil((memory.notBeforeMs - nowMs) / 1000);
    const cause = memory.lastError ?? describeExit(memory.lastExit);
    const failed = memory.failures === 1 ? 'once' : `${memory.failures} times in a row`;
    const reason = `${cause}; starts again in ${seconds} s (failed ${failed})`;
    return { phase: 'backoff', reason, action: 'none', memory };
  }
  if (blocked !== null) return { phase: 'waiting', reason: blocked, action: 'none', memory };
  return { phase: 'starting', reason: 'Being prepared', action: 'start', memory };
}

/** Without a check since the agent began, what was known before holds: a restarted agent takes nobody out. */
function judgeHealth({ memory, health, nowMs }: Situation, run: number): Decision {
  const wasReady = memory.readyRun === run;
  const ready = health.state === 'ready' || (health.state === 'unknown' && wasReady && memory.readySinceMs !== null);
  if (ready) {
    const known = wasReady && memory.readySinceMs !== null;
    const since = known ? memory : { ...memory, readyRun: run, readySinceMs: nowMs };
    return { phase: 'ready', reason: 'Ready', action: 'none', memory: since };
  }
  const phase = wasReady ? 'unready' : 'starting';
  const reason = health.reason ?? 'Waiting for the first readiness check';
  const since = memory.readySinceMs === null ? memory : { ...memory, readySinceMs: null };
  return { phase, reason, action: 'none', memory: since };
}

/** A limit that holds it back says why it is slow or not ready. */
function warned(decision: Decision, warning: string | undefined): Decision {
  return warning === undefined ? decision : { ...decision, reason: `${decision.reason}; ${warning}` };
}

/** Stops the run because it is not wanted, or because it is dead and another one is to take its place. */
function decideStopped({ view, memory, stop, nowMs, want, dead }: Situation): Decision {
  if (view.state === 'none' || view.state === 'ended') {
    return { phase: 'exited', reason: describeExit(memory.lastExit), action: 'none', memory };
  }
  if (view.state === 'starting') {
    return { phase: 'stopping', reason: 'Stops as soon as its process exists', action: 'none', memory };
  }
  if (memory.stopRun !== view.run) {
    const stopReason = want === 'running' ? dead : null;
    const told = { ...memory, stopRun: view.run, stopSentAtMs: nowMs, stopReason };
    const reason = `${why(stopReason)}told to stop by ${stop.signal}`;
    return { phase: 'stopping', reason, action: 'signal', memory: told };
  }
  const because = why(memory.stopReason);
  const leftMs = memory.stopSentAtMs + stop.graceMs - nowMs;
  if (leftMs <= 0) return { phase: 'stopping', reason: `${because}killed after its grace`, action: 'kill', memory };
  const reason = `${because}told to stop by ${stop.signal}; killed in ${Math.ceil(leftMs / 1000)} s unless it ends`;
  return { phase: 'stopping', reason, action: 'none', memory };
}

function why(stopReason: string | null): string {
  return stopReason === null ? 'No longer wanted: ' : `${stopReason}; `;
}
