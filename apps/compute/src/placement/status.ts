/** What an app is doing, in one state and one sentence. */
import { isLive, type InstanceState } from '../instances/instance.state';
import type { RolloutView } from '../rollouts/rollout.state';
import type { Course } from './pace';
import type { AppStatus, AppView, RolloutStatus } from './snapshot';
import { counted, listed } from './words';

/** An instance as far as the status of its app is concerned; new ones have no id yet. */
interface Member {
  readonly id?: string;
  readonly revision: string;
  readonly node: string | null;
  readonly state: InstanceState;
  readonly retiring: boolean;
  readonly reason: string;
}

export interface StatusRequest {
  readonly app: AppView;
  readonly course: Course;
  readonly instances: readonly Member[];
  /** Names of the lost nodes when they are so many that nothing is replaced; else none. */
  readonly missed: readonly string[];
}

export function statusOf({ app, course, instances, missed }: StatusRequest): AppStatus {
  const { rollout, target } = course;
  const live = instances.filter(isLive);
  const ready = live.filter(({ state }) => state === 'ready');
  const updated = ready.filter(({ revision }) => revision === target.id).length;
  const told = rollout === null ? null : rolloutStatusOf(rollout);
  const counts = { desired: app.replicas, ready: ready.length, updated, rollout: told };
  if (app.deleting) return { ...counts, state: 'deleting', reason: endingOf(instances) };
  if (app.replicas === 0) {
    return instances.length === 0
      ? { ...counts, state: 'stopped', reason: 'replicas is 0' }
      : { ...counts, state: 'progressing', reason: endingOf(instances) };
  }
  const outdated = live.filter(({ revision }) => revision !== target.id).length;
  if (updated >= app.replicas && outdated === 0) {
    return rollout?.phase === 'rolled_back'
      ? { ...counts, state: 'rolled_back', reason: rolledBack(rollout) }
      : { ...counts, state: 'running', reason: allReady(app.replicas) };
  }
  const troubles = troublesOf(instances, missed);
  const isShort = ready.length < app.replicas;
  return {
    ...counts,
    state: isShort && troubles.length > 0 ? 'degraded' : 'progressing',
    reason: [progressOf(target.number, counts), ...waitOf(rollout), ...troubles.slice(0, 3)].join('; '),
  };
}

function allReady(replicas: number): string {
  return replicas === 1 ? 'its replica is ready' : `all ${replicas} replicas are ready`;
}

function rolledBack({ goodNumber, reason }: RolloutView): string {
  return `rolled back to revision ${goodNumber}: ${reason}`;
}

function progressOf(revision: number, { desired, updated }: Pick<AppStatus, 'desired' | 'updated'>): string {
  return `${updated} of ${counted(desired, 'replica')} ready at revision ${revision}`;
}

/** What a rollout says of itself, unless it is the first one, of which its instances tell enough. */
function waitOf(rollout: RolloutView | null): string[] {
  if (rollout === null || rollout.reason === '') return [];
  if (rollout.phase === 'reverting') return [`goes back: ${rollout.reason}`];
  const isTold = rollout.good !== null && (rollout.phase === 'failed' || rollout.phase === 'running');
  return isTold ? [rollout.reason] : [];
}

export function rolloutStatusOf(rollout: RolloutView): RolloutStatus {
  const { strategy } = rollout.policy;
  const step = strategy.kind === 'canary' ? strategy.steps[rollout.step] : undefined;
  const isAtStep = strategy.kind === 'canary' && step !== undefined && rollout.phase === 'running';
  return {
    number: rollout.number,
    phase: rollout.phase,
    strategy: strategy.kind,
    from: rollout.fromNumber,
    to: rollout.toNumber,
    reason: rollout.reason,
    step: isAtStep ? { number: rollout.step + 1, of: strategy.steps.length, weight: step.weight } : null,
    failingInstance: rollout.failingInstance,
    lastLogLines: rollout.lastLogLines,
  };
}

/** Each trouble once with how many have it: what holds back everything first, then what a person can do something about. */
function troublesOf(instances: readonly Member[], missed: readonly string[]): string[] {
  const inTrouble = instances.filter((instance) => !instance.retiring && isTrouble(instance));
  const unplaced = inTrouble.filter(({ state }) => state === 'pending').map(({ reason }) => reason);
  const told = reasonsOf(inTrouble.filter(({ state }) => state !== 'pending'));
  return [...(missed.length === 0 ? [] : [massLoss(missed)]), ...new Set(unplaced), ...told];
}

function massLoss(missed: readonly string[]): string {
  const lost = `at least half of all nodes are lost (${listed(missed)})`;
  return `${lost}, so nothing is replaced until they are back, or deleted with \`alto nodes delete <node>\``;
}

/** What is left of an app that runs no more, and which lost machines that waits for. */
function endingOf(instances: readonly Member[]): string {
  const lost = reasonsOf(instances.filter(({ state }) => state === 'lost'));
  return [`${counted(instances.length, 'instance')} to end`, ...lost.slice(0, 3)].join('; ');
}

function reasonsOf(instances: readonly Member[]): string[] {
  const alike = Map.groupBy(instances, ({ reason }) => reason);
  return [...alike].map(([reason, members]) => `${namesOf(members)}: ${reason}`);
}

function namesOf(members: readonly Member[]): string {
  return members.length === 1 ? (members[0]?.id ?? 'an instance') : counted(members.length, 'instance');
}

function isTrouble({ state, node }: Member): boolean {
  if (state === 'pending') return node === null;
  return state === 'unready' || state === 'backoff' || state === 'failed' || state === 'lost';
}
