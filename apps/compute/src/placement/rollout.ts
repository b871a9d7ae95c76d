/**
 * Decides how many instances to start and which to retire so that an app moves to its target revision and replica
 * count, and off machines that are drained. Start within the surge, and let an available instance go only when enough
 * others remain.
 *
 * Invariants, whatever the input:
 * - instances that hold resources on machines that are heard of never exceed replicas + surge, and one more while
 *   one is moved off a drained machine beside a canary or a new set;
 * - no available instance is retired unless `replicas` available ones remain.
 */
import { isLive } from '../instances/instance.state';
import { crowding } from './occupancy';
import type { InstanceView } from './snapshot';

export interface RolloutRequest {
  readonly replicas: number;
  /** Id of the revision that instances should be of. */
  readonly target: string;
  /** Id of the revision that was last seen healthy; null when none was. */
  readonly good: string | null;
  /** Every instance of the app. */
  readonly instances: readonly InstanceView[];
  readonly pace: Pace;
  /** Ready, and known to every registered proxy. */
  readonly isAvailable: (instance: InstanceView) => boolean;
  /** Available for long enough that another instance may go for it. */
  readonly isSettled: (instance: InstanceView) => boolean;
  /** Its machine is drained: it shall be replaced elsewhere, and goes first. */
  readonly isEvicted: (instance: InstanceView) => boolean;
  /** False while so many machines are lost that the fault is likely our own. */
  readonly replaceLost: boolean;
  readonly failedHoldMs: number;
}

/** How far an app may move to its target revision now. */
export interface Pace {
  /** Instances of the target revision that are wanted. */
  readonly targets: number;
  /** Revision of which all replicas are kept up beside them; null when the others may go one by one. */
  readonly kept: string | null;
  /** Instances beyond the replicas. */
  readonly surge: number;
}

export interface RolloutStep {
  /** Instances of the target revision to start. */
  readonly start: number;
  /** Instances of the revision that is kept up to start. */
  readonly startKept: number;
  /** Ids of instances to retire. */
  readonly retire: readonly string[];
}

/** A quarter of the replicas, and at least one. */
export function surgeOf(replicas: number): number {
  return replicas === 0 ? 0 : Math.max(1, Math.ceil(replicas * 0.25));
}

export function rollOut(request: RolloutRequest, now: number): RolloutStep {
  const { replicas, instances, pace } = request;
  if (replicas === 0)
    return { start: 0, startKept: 0, retire: idsOf(instances.filter((instance) => !instance.retiring)) };

  const members = instances.filter((instance) => isMember(instance, request));
  const targets = members.filter((instance) => instance.revision === request.target);
  const others = members.filter((instance) => instance.revision !== request.target);
  const counts = (instance: InstanceView) => countsAsAvailable(instance, request);
  const available = members.filter(counts).length;
  const moving = evictionOf(targets, members, request);

  const useless = new Set(uselessOf(members, request, now));
  const useful = others.filter(({ id }) => !useless.has(id));
  const retire = new Set<string>([
    ...useless,
    ...unavailableBeyond(useful, unavailableKept(others, available, request), request),
    ...surplusOf(targets, members, request, moving.extra),
    ...moving.retire,
    ...replacedLost(others, available, request),
  ]);
  const availableLeft = available - members.filter((instance) => retire.has(instance.id) && counts(instance)).length;
  const outdated = others.filter((instance) => request.isAvailable(instance) && !retire.has(instance.id));
  const dispensable = Math.min(availableLeft - replicas, pace.kept === null ? Infinity : outdated.length - replicas);
  for (const id of idsOf(leavingOrder(outdated, request)).slice(0, Math.max(0, dispensable))) retire.add(id);

  const staying = (some: readonly InstanceView[]) => some.filter(({ id }) => !retire.has(id)).length;
  const room = replicas + pace.surge - instances.filter((instance) => holdsRoom(instance, request)).length;
  const movingKept = keptToMove(others, request);
  // One that is moved has a place beyond the surge, which a canary or a new set may have used up.
  const aside = pace.kept === null ? 0 : Math.max(movingKept, moving.extra);
  const start = Math.max(0, Math.min(pace.targets + moving.extra - staying(targets), room + aside * moving.extra));
  const missing = pace.kept === null ? 0 : replicas + movingKept - staying(others);
  const startKept = Math.max(0, Math.min(missing, room + aside - start));
  return { start, startKept, retire: [...retire] };
}

/** Instances of a revision that was not seen healthy yet count once they are settled, so that others stay until then. */
function countsAsAvailable(instance: InstanceView, request: RolloutRequest): boolean {
  const { good, target } = request;
  const isProven = instance.revision !== target && (good === null || instance.revision === good);
  return isProven ? request.isAvailable(instance) : request.isSettled(instance);
}

/**
 * One at a time: another instance is started, and one leaves the machine that is drained when enough are available, or
 * when it serves nobody itself and the other one has a machine.
 */
function evictionOf(
  targets: readonly InstanceView[],
  members: readonly InstanceView[],
  request: RolloutRequest,
): { extra: number; retire: readonly string[] } {
  const [first] = leavingOrder(targets.filter(request.isEvicted), request);
  if (first === undefined) return { extra: 0, retire: [] };
  const wanted = Math.min(request.pace.targets, request.replicas);
  const isMissed = request.isAvailable(first) && members.filter(request.isAvailable).length <= request.replicas;
  const isEnough =
    request.isAvailable(first) || first.state === 'lost'
      ? targets.filter((one) => one !== first && request.isAvailable(one)).length >= wanted
      : targets.filter(({ node }) => node !== null).length > wanted;
  return { extra: 1, retire: isEnough && !isMissed ? [first.id] : [] };
}

/**
 * Of the revision that is kept up beside the target: one more of it for the while that one is moved. Once that is
 * available the one on the drained machine is dispensable, and goes first.
 */
function keptToMove(others: readonly InstanceView[], request: RolloutRequest): number {
  const { kept } = request.pace;
  return kept !== null && others.some((one) => one.revision === kept && request.isEvicted(one)) ? 1 : 0;
}

function unavailableKept(others: readonly InstanceView[], available: number, request: RolloutRequest): number {
  const missing = Math.max(0, request.replicas - available);
  if (request.pace.kept === null) return missing;
  const wanted = request.replicas + keptToMove(others, request);
  return Math.max(missing, wanted - others.filter(request.isAvailable).length);
}

/** Counts as one of the app's replicas, in whatever health. */
function isMember(instance: InstanceView, request: RolloutRequest): boolean {
  if (isLive(instance)) return true;
  return instance.state === 'lost' && !instance.retiring && !request.replaceLost;
}

function holdsRoom(instance: InstanceView, request: RolloutRequest): boolean {
  return instance.state === 'lost' ? !request.replaceLost && !instance.retiring : instance.state !== 'stopped';
}

/**
 * Outdated ones that have not started, ones their agent gave up a while ago, and ones that cannot serve of a revision
 * that never did well: a good one can be had in their place.
 */
function uselessOf(members: readonly InstanceView[], request: RolloutRequest, now: number): string[] {
  const { target, good } = request;
  const useless = members.filter((instance) => {
    const { state, revision, stateAt } = instance;
    const isUnproven = good !== null && revision !== good && revision !== target;
    if (isUnproven && state !== 'lost' && !request.isAvailable(instance)) return true;
    if (state === 'failed') return revision !== request.target || now >= stateAt + request.failedHoldMs;
    return state === 'pending' && revision !== request.target && revision !== request.pace.kept;
  });
  return idsOf(useless);
}

/** Outdated ones that cannot serve but may again are kept only as far as available ones are missing. */
function unavailableBeyond(others: readonly InstanceView[], keep: number, request: RolloutRequest): string[] {
  const unavailable = others.filter((instance) => !request.isAvailable(instance) && mayServeAgain(instance));
  return idsOf(leavingOrder(unavailable, request)).slice(0, Math.max(0, unavailable.length - keep));
}

function mayServeAgain({ state }: InstanceView): boolean {
  return state !== 'pending' && state !== 'failed';
}

/**
 * Of the target revision, more than wanted: after scaling down, or when a lost machine is back. Available ones leave
 * last, and only when all that stay are available.
 */
function surplusOf(
  targets: readonly InstanceView[],
  members: readonly InstanceView[],
  request: RolloutRequest,
  extra: number,
): string[] {
  const surplus = Math.max(0, targets.length - request.pace.targets - extra);
  const leaving = leavingOrder(targets, request).slice(0, surplus);
  const [available, unavailable] = [
    leaving.filter(request.isAvailable),
    leaving.filter((one) => !request.isAvailable(one)),
  ];
  const dispensable = Math.max(0, members.filter(request.isAvailable).length - request.replicas);
  return idsOf([...unavailable, ...available.slice(0, dispensable)]);
}

/**
 * Lost ones stay in rotation, for they may still serve, until enough others are available; those of the revision that is
 * kept up until enough of it are, as a canary or a new set takes few requests or none.
 */
function replacedLost(others: readonly InstanceView[], available: number, request: RolloutRequest): string[] {
  const { instances, pace, replicas, replaceLost } = request;
  if (!replaceLost || available < replicas) return [];
  const isKeptUp = others.filter(request.isAvailable).length >= replicas;
  const mayGo = ({ state, retiring, revision }: InstanceView) =>
    state === 'lost' && !retiring && (revision !== pace.kept || isKeptUp);
  return idsOf(instances.filter(mayGo));
}

/** One that was in rotation when its machine was lost may still serve. */
function worthOf({ state, joinedGeneration }: InstanceView): number {
  return state === 'lost' && joinedGeneration !== null ? worth.ready - 0.5 : worth[state];
}

const worth: Readonly<Record<InstanceView['state'], number>> = {
  stopped: 0,
  failed: 1,
  pending: 2,
  lost: 3,
  backoff: 4,
  starting: 5,
  unready: 6,
  draining: 7,
  stopping: 7,
  ready: 8,
};

/** First to go first: the least useful, then what was never seen healthy, then from a drained machine, then from the most crowded one, then the newest. */
function leavingOrder(instances: readonly InstanceView[], request: RolloutRequest): InstanceView[] {
  const crowd = crowding(request.instances.filter(isLive));
  const crowdOf = ({ node }: InstanceView) => (node === null ? Infinity : (crowd.get(node) ?? 0));
  return [...instances].sort(
    (a, b) =>
      Number(request.isAvailable(a)) - Number(request.isAvailable(b)) ||
      worthOf(a) - worthOf(b) ||
      Number(a.revision === request.good) - Number(b.revision === request.good) ||
      Number(request.isEvicted(b)) - Number(request.isEvicted(a)) ||
      descending(crowdOf(a), crowdOf(b)) ||
      descending(a.createdAt, b.createdAt) ||
      (a.id < b.id ? 1 : -1),
  );
}

function descending(a: number, b: number): number {
  return a === b ? 0 : b > a ? 1 : -1;
}

function idsOf(instances: readonly InstanceView[]): string[] {
  return instances.map(({ id }) => id);
}
