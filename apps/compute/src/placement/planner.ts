/**
 * The whole of what compute decides, as a pure function of what it sees: `plan(snapshot, limits, now)`.
 * The caller commits each app's plan if nothing it rests on has changed meanwhile, and plans again otherwise.
 * An empty plan means that the cluster is as it should be, or waits for somebody else.
 */
import { isApplied, isIdle, lagging } from '../endpoints/acknowledged';
import { transition } from '../instances/instance.state';
import { occupancyOf, type Occupancy } from './occupancy';
import { place } from './placement';
import { rollOut } from './rollout';
import type {
  AppStatus,
  AppView,
  EndpointView,
  InstanceView,
  NodeView,
  PlanLimits,
  RevisionView,
  Snapshot,
} from './snapshot';
import { statusOf } from './status';
import { listed } from './words';

export interface NewInstance {
  readonly revision: string;
  readonly node: string | null;
  readonly reason: string;
}

/** The instance as it should be from now on; `before.version` must still be its version when it is committed. */
export interface InstanceChange {
  readonly before: InstanceView;
  readonly after: InstanceView;
  /** Its agent is to be told something else than before. */
  readonly instructs: boolean;
  readonly joins: boolean;
  readonly leaves: boolean;
}

export interface AppPlan {
  readonly app: AppView;
  readonly start: readonly NewInstance[];
  readonly change: readonly InstanceChange[];
  readonly remove: readonly InstanceView[];
  /** Null where proxies know all of it already. */
  readonly endpoints: readonly EndpointView[] | null;
  /** Null where it is as before. */
  readonly status: AppStatus | null;
  readonly deleteApp: boolean;
}

export interface Plan {
  /** Apps for which there is something to commit. */
  readonly apps: readonly AppPlan[];
  /** When to plan again though nothing has been heard; null for no such moment. */
  readonly wakeAt: number | null;
  /** Proxies should say again which instances still have requests in flight. */
  readonly askProxies: boolean;
}

type Draft = { -readonly [K in keyof InstanceView]: InstanceView[K] };

interface AppContext {
  readonly app: AppView;
  readonly snapshot: Snapshot;
  readonly nodes: ReadonlyMap<string, NodeView>;
  readonly occupancy: Occupancy;
  readonly replaceLost: boolean;
  readonly limits: PlanLimits;
  readonly now: number;
}

export function plan(snapshot: Snapshot, limits: PlanLimits, now: number): Plan {
  const byApp = Map.groupBy(snapshot.instances, (instance) => instance.app);
  const nodes = new Map(snapshot.nodes.map((node) => [node.id, node]));
  const occupancy = occupancyOf(snapshot);
  const replaceLost = !isMassLoss(snapshot.nodes);
  const plans = snapshot.apps.map((app) =>
    planApp({ app, snapshot, nodes, occupancy, replaceLost, limits, now }, byApp.get(app.id) ?? []),
  );
  const waiting = plans.flatMap(({ kept }) => kept);
  return {
    apps: plans.map(({ plan }) => plan).filter((appPlan) => !isEmpty(appPlan)),
    wakeAt: wakeAt(waiting, limits, now),
    askProxies: waiting.some(({ state, drainUntil }) => state === 'draining' && drainUntil !== null),
  };
}

/** At least half of three or more machines are lost: more likely a fault between them and us than their common end. */
export function isMassLoss(nodes: readonly NodeView[]): boolean {
  return nodes.length >= 3 && nodes.filter(({ state }) => state === 'lost').length * 2 >= nodes.length;
}

function planApp(context: AppContext, before: readonly InstanceView[]): { plan: AppPlan; kept: Draft[] } {
  const drafts: Draft[] = before.map((instance) => ({ ...instance }));
  for (const draft of drafts) lose(draft, context);
  const step = rollOut(rolloutRequest(context, drafts), context.now);
  const retire = new Set(step.retire);
  for (const draft of drafts) {
    if (retire.has(draft.id)) draft.retiring = true;
    if (draft.retiring) leave(draft, context);
  }
  const kept = drafts.filter((draft) => !isGone(draft, context));
  for (const draft of kept) assign(draft, context);
  const start = Array.from({ length: step.start }, () => startOne(context));
  const endpoints = endpointsOf(context.app, kept);
  const instances = [
    ...kept,
    ...start.map((instance) => ({ ...instance, state: 'pending' as const, retiring: false })),
  ];
  const status = statusOf({ app: context.app, instances, replaceLost: context.replaceLost });
  return {
    kept,
    plan: {
      app: context.app,
      start,
      change: changesOf(before, kept, context.app, endpoints),
      remove: before.filter((instance) => !kept.some(({ id }) => id === instance.id)),
      endpoints: sameEndpoints(context.app.endpoints, endpoints) ? null : endpoints,
      status: sameStatus(context.app.status, status) ? null : status,
      deleteApp: context.app.deleting && instances.length === 0,
    },
  };
}

function rolloutRequest({ app, snapshot, replaceLost, limits }: AppContext, instances: readonly InstanceView[]) {
  return {
    replicas: app.replicas,
    target: app.target.id,
    instances,
    replaceLost,
    failedHoldMs: limits.failedHoldMs,
    isAvailable: ({ state, joinedGeneration }: InstanceView) =>
      state === 'ready' && joinedGeneration !== null && isApplied(joinedGeneration, snapshot.proxies),
  };
}

/** Marks an instance whose machine is not heard of. It stays in rotation: proxies find out by themselves whether it serves. */
function lose(draft: Draft, { nodes, now }: AppContext): void {
  const node = draft.node === null ? undefined : nodes.get(draft.node);
  if (node?.state === 'lost')
    enter(draft, transition(draft.state, { kind: 'node_lost' }), `its node ${node.name} is lost`, now);
}

/** Takes an instance that shall go one step further out: proxies first, then requests in flight, then the process. */
function leave(draft: Draft, context: AppContext): void {
  const { app, snapshot, limits, now } = context;
  if (draft.state === 'lost' || draft.state === 'stopping' || draft.state === 'stopped') return;
  if (draft.state !== 'draining') {
    const isKnown = draft.joinedGeneration !== null || draft.leftGeneration !== null;
    const next = transition(draft.state, { kind: isKnown ? 'drain' : 'stop' });
    return enter(draft, next, isKnown ? 'proxies are told to send it no more requests' : ending, now);
  }
  if (isRouted(app, draft.id)) return;
  const late = lagging(draft.leftGeneration, snapshot.proxies);
  if (late.length > 0) {
    draft.reason = `waits for ${listed(late)} to send it no more requests`;
    return;
  }
  if (isIdle(draft.id, snapshot.proxies) || (draft.drainUntil !== null && now >= draft.drainUntil)) {
    return enter(draft, transition(draft.state, { kind: 'drained' }), ending, now);
  }
  draft.drainUntil ??= now + limits.drainMs;
  draft.reason = `no proxy sends it requests any more; those in flight may take ${limits.drainMs / 1000} s`;
}

const ending = 'its agent is told to end it';

/** Chooses a machine for an instance without one, or says why there is none. */
function assign(draft: Draft, context: AppContext): void {
  const revision = revisionOf(draft, context);
  if (draft.state !== 'pending' || draft.node !== null || revision === undefined) return;
  const placed = place(context.occupancy, { app: draft.app, revision });
  draft.node = placed.node;
  draft.reason = placed.node === null ? placed.reason : placedReason(placed.node, context);
}

function startOne(context: AppContext): NewInstance {
  const { app, occupancy } = context;
  const placed = place(occupancy, { app: app.id, revision: app.target });
  const reason = placed.node === null ? placed.reason : placedReason(placed.node, context);
  return { revision: app.target.id, node: placed.node, reason };
}

function placedReason(node: string, { nodes }: AppContext): string {
  return `waits for the agent on ${nodes.get(node)?.name ?? node} to start it`;
}

function revisionOf({ revision }: InstanceView, { app, snapshot }: AppContext): RevisionView | undefined {
  return revision === app.target.id ? app.target : snapshot.revisions.get(revision);
}

/** Ended, never placed, or on a machine that has left the cluster. */
function isGone({ state, node, retiring }: InstanceView, { nodes }: AppContext): boolean {
  if (state === 'stopped') return true;
  return node === null ? retiring : !nodes.has(node);
}

/** Lost instances stay as proxies know them; those that drain are shown as such until they end. */
function endpointsOf(app: AppView, instances: readonly InstanceView[]): EndpointView[] {
  const endpoints = instances.flatMap((instance): EndpointView[] => {
    const { id, state, retiring, address, joinedGeneration } = instance;
    if (address === null) return [];
    const serves = state === 'ready' || (state === 'lost' && !retiring && joinedGeneration !== null);
    if (serves) return [{ instance: id, ...address, state: 'ready' }];
    const known = app.endpoints?.some((endpoint) => endpoint.instance === id) ?? false;
    return state === 'draining' && known ? [{ instance: id, ...address, state: 'draining' }] : [];
  });
  return endpoints.sort((a, b) => (a.instance < b.instance ? -1 : 1));
}

function isRouted(app: AppView, instance: string): boolean {
  return app.endpoints?.some((endpoint) => endpoint.instance === instance && endpoint.state === 'ready') ?? false;
}

function changesOf(
  before: readonly InstanceView[],
  kept: readonly Draft[],
  app: AppView,
  endpoints: readonly EndpointView[],
): InstanceChange[] {
  const serving = new Set(endpoints.filter(({ state }) => state === 'ready').map(({ instance }) => instance));
  const originals = new Map(before.map((instance) => [instance.id, instance]));
  return kept.flatMap((after) => {
    const original = originals.get(after.id);
    if (original === undefined) return [];
    const joins = serving.has(after.id) && !isRouted(app, after.id);
    const leaves = !serving.has(after.id) && isRouted(app, after.id);
    const instructs = original.node !== after.node || (original.state !== after.state && after.state === 'stopping');
    const same = (Object.keys(after) as (keyof InstanceView)[]).every((key) => original[key] === after[key]);
    return same && !joins && !leaves ? [] : [{ before: original, after, instructs, joins, leaves }];
  });
}

function enter(draft: Draft, state: InstanceView['state'], reason: string, now: number): void {
  if (draft.state === state) return;
  draft.state = state;
  draft.reason = reason;
  draft.stateAt = now;
}

function wakeAt(instances: readonly InstanceView[], limits: PlanLimits, now: number): number | null {
  const moments = instances.flatMap(({ state, stateAt, drainUntil }) => {
    if (state === 'draining' && drainUntil !== null) return [drainUntil];
    return state === 'failed' ? [stateAt + limits.failedHoldMs] : [];
  });
  const ahead = moments.filter((moment) => moment > now);
  return ahead.length === 0 ? null : Math.min(...ahead);
}

function sameEndpoints(told: readonly EndpointView[] | null, endpoints: readonly EndpointView[]): boolean {
  if (told === null || told.length !== endpoints.length) return false;
  return told.every((one, index) => {
    const other = endpoints[index];
    return (
      other !== undefined &&
      one.instance === other.instance &&
      one.ip === other.ip &&
      one.port === other.port &&
      one.state === other.state
    );
  });
}

function sameStatus(a: AppStatus, b: AppStatus): boolean {
  return (
    a.state === b.state &&
    a.reason === b.reason &&
    a.desired === b.desired &&
    a.ready === b.ready &&
    a.updated === b.updated
  );
}

function isEmpty({ start, change, remove, endpoints, status, deleteApp }: AppPlan): boolean {
  return start.length + change.length + remove.length === 0 && endpoints === null && status === null && !deleteApp;
}
