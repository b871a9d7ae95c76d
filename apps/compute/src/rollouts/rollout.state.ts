/**
 * Life of a rollout: an app's way from one revision to another.
 *
 *   running ──► completed                    (every replica is of the new revision and healthy; it is now the good one,
 *      │                                        unless there are no replicas: then it is judged once there are)
 *      │
 *      ├──────► reverting ──► rolled_back    (it failed; the good revision is the target again)
 *      ├──────► failed                       (it failed and must not or cannot go back)
 *      │           └──► completed            (the first revision of an app has become healthy after all)
 *      └──────► superseded                   (a newer change has taken its place; also from `reverting`)
 *
 * Callers may rely on: only `running` can fail, so a failed rollout never starts another one; what fails is judged by
 * instances that the rollout itself has started; nothing here reads a clock, so the same sight gives the same answer.
 */
import type { InstanceState } from '../instances/instance.state';
import { type Checks, type Counts, noRequests, sumOf } from './error-rate';
import { failureByTraffic, type Traffic } from './traffic-checks';

export type RolloutPhase = 'running' | 'reverting' | 'completed' | 'rolled_back' | 'failed' | 'superseded';

export interface CanaryStep {
  /** Percent of requests. */
  readonly weight: number;
  readonly holdMs: number;
}

export type Strategy =
  | { readonly kind: 'rolling'; readonly surge?: number | undefined }
  | {
      readonly kind: 'canary';
      readonly steps: readonly CanaryStep[];
      readonly crashesMax: number;
      readonly checks?: Checks | undefined;
    }
  | { readonly kind: 'blue-green' };

export interface RolloutPolicy {
  readonly strategy: Strategy;
  readonly healthyMs: number;
  readonly progressDeadlineMs: number;
  readonly autoRevert: boolean;
  /** An instance that has not been ready this long after its placement has failed. */
  readonly readyWithinMs: number;
}

/** All that is kept of a rollout between two looks at it. Times are Unix milliseconds. */
export interface Progress {
  readonly phase: RolloutPhase;
  readonly policy: RolloutPolicy;
  /** Revision by id, and its number for people. */
  readonly to: string;
  readonly toNumber: number;
  /** Number of the revision that the app came from; null for its first. */
  readonly fromNumber: number | null;
  /** Revision to go back to; null when there is none. */
  readonly good: string | null;
  readonly goodNumber: number | null;
  /** When the reconciler first saw it: instances made from then on are its own. */
  readonly begunAt: number | null;
  /** When it last came further; null while that is not counted. */
  readonly progressAt: number | null;
  /** Most healthy instances of the new revision at a time. */
  readonly healthyMost: number;
  /**
   * Canary: index of the step, one past the last when the rest is replaced. Blue-green: 1 once requests are switched,
   * 2 when the old ones may go.
   */
  readonly step: number;
  /** Since when everything that the step needs has been healthy. */
  readonly stepAt: number | null;
  /** What had been counted when the step began. */
  readonly before: { readonly target: Counts; readonly good: Counts };
  /** Reports of each proxy, by id, when all else was well: another one of each is waited for, then it goes on. */
  readonly awaited: Readonly<Record<string, number>> | null;
  readonly reason: string;
  readonly failingInstance: string | null;
  readonly lastLogLines: readonly string[];
}

export interface RolloutView extends Progress {
  readonly id: string;
  readonly number: number;
}

/** An instance of the new revision that is not on its way out. */
export interface Candidate {
  readonly id: string;
  readonly node: string | null;
  readonly state: InstanceState;
  readonly restarts: number;
  readonly createdAt: number;
  /** It has taken requests at some time. */
  readonly hasServed: boolean;
  readonly isHealthy: boolean;
}

export interface Sight {
  readonly replicas: number;
  readonly candidates: readonly Candidate[];
  /** Instances of other revisions that are not on their way out, also those that are lost. */
  readonly others: number;
  /** Nothing is judged while so much is lost that the fault is likely our own. */
  readonly isHeld: boolean;
  /** A proxy is silent: what the rollout waits for it cannot say, which is held against nobody. */
  readonly isUnheard: boolean;
  /** Proxies that have not applied what they were last told. */
  readonly lagging: readonly string[];
  /** Reports of each registered proxy, by id. */
  readonly reports: ReadonlyMap<string, number>;
  /** How instances have answered since the rollout began, also those that are gone. */
  readonly traffic: Traffic;
}

/** Crashes of one instance that end a rollout. */
export const crashesMax = 3;

/** Of a rollout that has not been looked at yet. */
export const notBegun = {
  phase: 'running',
  begunAt: null,
  progressAt: null,
  healthyMost: 0,
  step: 0,
  stepAt: null,
  before: { target: noRequests, good: noRequests },
  awaited: null,
  failingInstance: null,
  lastLogLines: [],
} as const satisfies Partial<Progress>;

/** The rollout after a look at the app; the same value where nothing has changed. */
export function advance(rollout: RolloutView, sight: Sight, now: number): RolloutView {
  switch (rollout.phase) {
    case 'running':
      return run(rollout, sight, now);
    case 'reverting':
      return isThere(sight) ? end(rollout, 'rolled_back', rollout.reason) : rollout;
    case 'failed':
      return rollout.good === null && sight.replicas > 0 && isHealthy(sight) ? complete(rollout) : rollout;
    default:
      return rollout;
  }
}

/** Instances of the new revision that the rollout wants now. */
export function wantedNow({ policy: { strategy }, step }: Pick<Progress, 'policy' | 'step'>, replicas: number): number {
  const current = strategy.kind === 'canary' ? strategy.steps[step] : undefined;
  return current === undefined
    ? replicas
    : Math.min(replicas, Math.max(1, Math.ceil((replicas * current.weight) / 100)));
}

/** The other revision keeps all its replicas for now. */
export function keepsOthers({ policy: { strategy }, step }: Pick<Progress, 'policy' | 'step'>): boolean {
  if (strategy.kind === 'canary') return step < strategy.steps.length;
  return strategy.kind === 'blue-green' && step < 2;
}

/** It goes on when proxies have said once more how its instances answer. */
export function awaitsReports({ phase, awaited }: Pick<Progress, 'phase' | 'awaited'>): boolean {
  return phase === 'running' && awaited !== null;
}

/** It is judged by how its instances answer, beside those of the good revision. */
export function isJudgedByAnswers({ phase, good }: Pick<Progress, 'phase' | 'good'>): boolean {
  return phase === 'running' && good !== null;
}

/** Its revision has been seen healthy. One that nothing runs of has shown nothing. */
export function isProven({ phase }: Pick<Progress, 'phase'>, replicas: number): boolean {
  return phase === 'completed' && replicas > 0;
}

/** What is started now was never seen healthy, and no rollout is judging it. */
export function isToBeJudged(
  { revision, good, replicas }: { readonly revision: string; readonly good: string | null; readonly replicas: number },
  replicasNext: number,
  rollout: Pick<Progress, 'phase'> | null,
): boolean {
  return replicas === 0 && replicasNext > 0 && good !== revision && (rollout === null || isOver(rollout));
}

/** When to look again though nothing has been heard. */
export function momentsOf(rollout: RolloutView, candidates: readonly Candidate[]): number[] {
  if (rollout.phase !== 'running' || rollout.progressAt === null) return [];
  const hold = holdOf(rollout);
  return [
    ...(rollout.stepAt === null || hold === null ? [] : [rollout.stepAt + hold]),
    deadlineOf(rollout, rollout.progressAt),
    ...candidates
      .filter((one) => mustBecomeReady(one, rollout))
      .map((one) => one.createdAt + rollout.policy.readyWithinMs),
  ];
}

export function isOver({ phase }: Pick<Progress, 'phase'>): boolean {
  return phase !== 'running' && phase !== 'reverting';
}

function run(rollout: RolloutView, sight: Sight, now: number): RolloutView {
  if (rollout.begunAt === null) return run({ ...rollout, begunAt: now, progressAt: now }, sight, now);
  const failure = failureOf(rollout, sight, now);
  if (failure !== null) return fail(rollout, failure);
  if (sight.replicas === 0)
    return end(rollout, 'completed', `there are no replicas; revision ${rollout.toNumber} is judged once there are`);
  if (isUnclear(rollout, sight)) return { ...rollout, progressAt: null, awaited: null, reason: heldReason };
  const further = isHealthy(sight)
    ? onceReported(rollout, sight, complete)
    : takeStep(progressed(rollout, sight, now), sight, now);
  return further.phase === 'running' ? { ...further, reason: reasonOf(further, sight) } : further;
}

/** It answers badly while so much is lost that this may be our own fault: no reason to go back, and none to go on. */
function isUnclear(rollout: RolloutView, { isHeld, traffic }: Sight): boolean {
  return isHeld && failureByTraffic(rollout, traffic) !== null;
}

/** Goes on once every proxy has reported again: what went wrong up to now is known then, and has been judged. */
function onceReported(
  rollout: RolloutView,
  { reports }: Sight,
  goOn: (rollout: RolloutView) => RolloutView,
): RolloutView {
  if (rollout.good === null || reports.size === 0) return goOn(rollout);
  if (rollout.awaited === null) return { ...rollout, awaited: Object.fromEntries(reports) };
  const isAwaited = ([id, count]: [string, number]) => (reports.get(id) ?? Infinity) <= count;
  return Object.entries(rollout.awaited).some(isAwaited) ? rollout : goOn({ ...rollout, awaited: null });
}

function progressed(rollout: RolloutView, { candidates, isHeld, isUnheard }: Sight, now: number): RolloutView {
  if (isHeld || isUnheard) return { ...rollout, progressAt: null };
  const healthy = candidates.filter((candidate) => candidate.isHealthy).length;
  if (rollout.progressAt !== null && healthy <= rollout.healthyMost) return rollout;
  return { ...rollout, progressAt: now, healthyMost: Math.max(rollout.healthyMost, healthy) };
}

/** A step is taken when all that it needs has been healthy for as long as it is held. */
function takeStep(rollout: RolloutView, sight: Sight, now: number): RolloutView {
  const { candidates, replicas, lagging, traffic } = sight;
  const hold = holdOf(rollout);
  if (hold === null) return { ...rollout, awaited: null };
  const healthy = candidates.filter((candidate) => candidate.isHealthy).length;
  if (healthy < wantedNow(rollout, replicas)) return { ...rollout, stepAt: null, awaited: null };
  if (rollout.stepAt === null && lagging.length > 0) return rollout;
  const stepAt = rollout.stepAt ?? now;
  if (now < stepAt + hold) return { ...rollout, stepAt };
  const before = { target: sumOf(traffic.target.values()), good: traffic.good };
  return onceReported({ ...rollout, stepAt }, sight, (seen) => ({
    ...seen,
    step: seen.step + 1,
    stepAt: null,
    progressAt: now,
    before,
  }));
}

/** How long the current step is held; null when there is no step to take. */
function holdOf({ policy: { strategy, healthyMs }, step }: RolloutView): number | null {
  if (strategy.kind === 'canary') return strategy.steps[step]?.holdMs ?? null;
  if (strategy.kind === 'rolling') return null;
  return [0, healthyMs][step] ?? null;
}

interface Failure {
  readonly reason: string;
  readonly instance: string | null;
}

function failureOf(
  rollout: RolloutView,
  { candidates, isHeld, isUnheard, traffic }: Sight,
  now: number,
): Failure | null {
  const own = candidates.filter((candidate) => isOwn(candidate, rollout));
  const allowed = crashesAllowed(rollout);
  const crashing = own.find(({ restarts }) => restarts > allowed);
  if (crashing !== undefined) return { instance: crashing.id, reason: crashedReason(crashing) };
  const givenUp = own.find(({ state }) => state === 'failed');
  if (givenUp !== undefined) return { instance: givenUp.id, reason: `${givenUp.id} was given up by its agent` };
  if (isHeld) return null;
  const { readyWithinMs, progressDeadlineMs } = rollout.policy;
  const late = own.find((one) => mustBecomeReady(one, rollout) && now >= one.createdAt + readyWithinMs);
  if (late !== undefined)
    return { instance: late.id, reason: `${late.id} was not ready within ${seconds(readyWithinMs)}` };
  const answersWorse = failureByTraffic(rollout, traffic);
  if (answersWorse !== null) return answersWorse;
  if (isUnheard || rollout.progressAt === null || now < deadlineOf(rollout, rollout.progressAt)) return null;
  const stuck = own.find(({ isHealthy }) => !isHealthy) ?? null;
  return { instance: stuck?.id ?? null, reason: `it came no further for ${seconds(progressDeadlineMs)}` };
}

function crashedReason({ id, restarts }: Candidate): string {
  return restarts === 1 ? `${id} crashed` : `${id} crashed ${restarts} times`;
}

function crashesAllowed(rollout: RolloutView): number {
  const { strategy } = rollout.policy;
  return strategy.kind === 'canary' && keepsOthers(rollout) ? strategy.crashesMax : crashesMax - 1;
}

/** Started for this rollout, so that what it did before is not held against the revision now. */
function isOwn({ createdAt, state }: Candidate, { begunAt }: RolloutView): boolean {
  return begunAt !== null && createdAt >= begunAt && state !== 'lost';
}

function mustBecomeReady(candidate: Candidate, rollout: RolloutView): boolean {
  return isOwn(candidate, rollout) && candidate.node !== null && !candidate.hasServed && candidate.state !== 'ready';
}

/** Time in which the rollout waits on purpose is not held against it. */
function deadlineOf(rollout: RolloutView, progressAt: number): number {
  const { healthyMs, progressDeadlineMs } = rollout.policy;
  return progressAt + progressDeadlineMs + healthyMs + (holdOf(rollout) ?? 0);
}

function fail(rollout: RolloutView, { instance, reason }: Failure): RolloutView {
  const failed = { ...rollout, failingInstance: instance };
  const said = `revision ${rollout.toNumber} failed: ${reason}`;
  if (rollout.good === null) return end(failed, 'failed', `${said}; there is no good revision to go back to`);
  if (!rollout.policy.autoRevert)
    return end(failed, 'failed', `${said}; autoRevert is off, so it stays until it is changed`);
  return { ...failed, phase: 'reverting', reason: said };
}

function complete(rollout: RolloutView): RolloutView {
  return end(rollout, 'completed', `every replica is of revision ${rollout.toNumber}`);
}

function end(rollout: RolloutView, phase: RolloutPhase, reason: string): RolloutView {
  return { ...rollout, phase, reason, stepAt: null, awaited: null };
}

function isHealthy(sight: Sight): boolean {
  return isAlone(sight) && sight.candidates.filter((candidate) => candidate.isHealthy).length >= sight.replicas;
}

/** Of a rollout that reverts the candidates are those of the good revision. */
function isThere(sight: Sight): boolean {
  return isAlone(sight) && sight.candidates.filter(({ state }) => state === 'ready').length >= sight.replicas;
}

/** Nothing else is left, and no proxy sends requests to anything else. */
function isAlone({ others, lagging }: Sight): boolean {
  return others === 0 && lagging.length === 0;
}

const heldReason = 'held: at least half of all nodes are lost';

/** What it waits for, the same as long as it waits for the same. */
function reasonOf(rollout: RolloutView, sight: Sight): string {
  const { candidates, replicas, isHeld, lagging } = sight;
  if (isHeld) return heldReason;
  const { healthyMs, strategy } = rollout.policy;
  const where = stepInWords(rollout);
  const ready = candidates.filter(({ state }) => state === 'ready');
  const young = ready.filter((candidate) => !candidate.isHealthy);
  if (ready.length < wantedNow(rollout, replicas) && young.length === 0)
    return `${where}waits for new instances to be ready`;
  if (lagging.length > 0) return `${where}waits for ${lagging.join(', ')} to apply the new endpoints`;
  if (young.length > 0) return `${where}waits until ${young[0]?.id} has been healthy for ${seconds(healthyMs)}`;
  if (rollout.awaited !== null) return `${where}waits for proxies to say how the new instances answer`;
  if (rollout.stepAt !== null && strategy.kind === 'canary')
    return `${where}held for ${seconds(strategy.steps[rollout.step]?.holdMs ?? 0)}`;
  return `${where}waits for old instances to end`;
}

function stepInWords({ policy: { strategy, healthyMs }, step }: RolloutView): string {
  if (strategy.kind === 'blue-green')
    return (
      [
        'the new set takes no requests yet; ',
        `requests are switched, the old set stays for ${seconds(healthyMs)} more; `,
      ][step] ?? 'requests are switched; '
    );
  const current = strategy.kind === 'canary' ? strategy.steps[step] : undefined;
  if (strategy.kind !== 'canary' || current === undefined) return '';
  return `step ${step + 1} of ${strategy.steps.length}, ${current.weight} % of requests; `;
}

function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
