/**
 * Decides how many instances to start and which to retire so that an app moves to its target revision and
 * replica count. Rolling: start within the surge, and let an available instance go only when enough others remain.
 *
 * Invariants, whatever the input:
 * - instances that hold resources on machines that are heard of never exceed replicas + surge;
 * - no available instance is retired unless `replicas` available ones remain.
 */
import { isLive } from '../instances/instance.state';
import { crowding } from './occupancy';
import type { InstanceView } from './snapshot';

export interface RolloutRequest {
  readonly replicas: number;
  /** Id of the revision that instances should be of. */
  readonly target: string;
  /** Every instance of the app. */
  readonly instances: readonly InstanceView[];
  /** Ready, and known to every registered proxy. */
  readonly isAvailable: (instance: InstanceView) => boolean;
  /** False while so many machines are lost that the fault is likely our own. */
  readonly replaceLost: boolean;
  readonly failedHoldMs: number;
}

export interface RolloutStep {
  /** Instances of the target revision to start. */
  readonly start: number;
  /** Ids of instances to retire. */
  readonly retire: readonly string[];
}

/** A quarter of the replicas, and at least one. */
export function surgeOf(replicas: number): number {
  return replicas === 0 ? 0 : Math.max(1, Math.ceil(replicas * 0.25));
}

export function rollOut(request: RolloutRequest, now: number): RolloutStep {
  const { replicas, instances } = request;
  if (replicas === 0) return { start: 0, retire: idsOf(instances.filter((instance) => !instance.retiring)) };

  const members = instances.filter((instance) => isMember(instance, request));
  const targets = members.filter((instance) => instance.revision === request.target);
  const others = members.filter((instance) => instance.revision !== request.target);
  const available = members.filter(request.isAvailable).length;

  const retire = new Set<string>([
    ...uselessOf(members, request, now),
    ...unavailableBeyond(others, Math.max(0, replicas - available), request),
    ...surplusOf(targets, request),
    ...replacedLost(instances, available, request),
  ]);
  const availableLeft =
    available - members.filter((instance) => retire.has(instance.id) && request.isAvailable(instance)).length;
  const outdated = others.filter((instance) => request.isAvailable(instance) && !retire.has(instance.id));
  for (const id of idsOf(leavingOrder(outdated, request)).slice(0, Math.max(0, availableLeft - replicas)))
    retire.add(id);

  const staying = targets.filter((instance) => !retire.has(instance.id)).length;
  const room = replicas + surgeOf(replicas) - instances.filter((instance) => holdsRoom(instance, request)).length;
  return { start: Math.max(0, Math.min(replicas - staying, room)), retire: [...retire] };
}

/** Counts as one of the app's replicas, in whatever health. */
function isMember(instance: InstanceView, request: RolloutRequest): boolean {
  if (isLive(instance)) return true;
  return instance.state === 'lost' && !instance.retiring && !request.replaceLost;
}

function holdsRoom(instance: InstanceView, request: RolloutRequest): boolean {
  return instance.state === 'lost' ? !request.replaceLost && !instance.retiring : instance.state !== 'stopped';
}

/** Outdated ones that have not started, and ones their agent gave up a while ago. */
function uselessOf(members: readonly InstanceView[], request: RolloutRequest, now: number): string[] {
  const useless = members.filter(({ state, revision, stateAt }) => {
    if (state === 'failed') return revision !== request.target || now >= stateAt + request.failedHoldMs;
    return state === 'pending' && revision !== request.target;
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
function surplusOf(targets: readonly InstanceView[], request: RolloutRequest): string[] {
  return idsOf(leavingOrder(targets, request)).slice(0, Math.max(0, targets.length - request.replicas));
}

/** Lost ones stay in rotation, for they may still serve, until enough others are available. */
function replacedLost(instances: readonly InstanceView[], available: number, request: RolloutRequest): string[] {
  if (!request.replaceLost || available < request.replicas) return [];
  return idsOf(instances.filter(({ state, retiring }) => state === 'lost' && !retiring));
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

/** First to go first: the least useful, then from the most crowded machine, then the newest. */
function leavingOrder(instances: readonly InstanceView[], request: RolloutRequest): InstanceView[] {
  const crowd = crowding(request.instances.filter(isLive));
  const crowdOf = ({ node }: InstanceView) => (node === null ? Infinity : (crowd.get(node) ?? 0));
  return [...instances].sort(
    (a, b) =>
      Number(request.isAvailable(a)) - Number(request.isAvailable(b)) ||
      worth[a.state] - worth[b.state] ||
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
