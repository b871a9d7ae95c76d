/**
 * The whole of what compute decides, as a pure function of what it sees: `plan(snapshot, limits, now)`.
 * The caller commits each app's plan if nothing it rests on has changed meanwhile, and plans again otherwise.
 * An empty plan means that the cluster is as it should be, or waits for somebody else.
 */
import { httpPort } from '@alto/contracts';
import { isApplied, isIdle, lagging } from '../endpoints/acknowledged';
import { isLive, transition } from '../instances/instance.state';
import { sumOf } from '../rollouts/error-rate';
import { awaitsReports, type Candidate, momentsOf, type RolloutView, type Sight } from '../rollouts/rollout.state';
import type { Traffic } from '../rollouts/traffic-checks';
import { endpointsOf, isAsked, isRouted, sameEndpoints } from './endpoints';
import { sameValue } from './equality';
import { occupancyOf, type Occupancy } from './occupancy';
import { type Course, courseOf, paceOf } from './pace';
import { place } from './placement';
import { type RolloutRequest, rollOut } from './rollout';
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
  readonly rollout: RolloutView | null;
  readonly deleteApp: boolean;
}

export interface Plan {
  /** Apps for which there is something to commit. */
  readonly apps: readonly AppPlan[];
  /** When to plan again though nothing has been heard; null for no such moment. */
  readonly wakeAt: number | null;
  /** Proxies should report again: how instances answer, and which still have requests in flight. */
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
  return {
    apps: plans.map(({ plan }) => plan).filter((appPlan) => !isEmpty(appPlan)),
    wakeAt: wakeAt(
      plans.flatMap(({ kept }) => kept),
      plans.flatMap(({ moments }) => moments),
      limits,
      now,
    ),
    askProxies: plans.some(({ asks }) => asks),
  };
}

/**
 * At least half of three or more machines are lost: more likely a fault between them and us than their common end. They
 * were last heard of at different times, so those that are suspect when the first is lost count, too.
 */
export function isMassLoss(nodes: readonly NodeView[]): boolean {
  const isAnyLost = nodes.some(({ state }) => state === 'lost');
  return isAnyLost && nodes.length >= 3 && missedNames(nodes).length * 2 >= nodes.length;
}

function missedNames(nodes: readonly NodeView[]): string[] {
  return nodes.filter(({ state }) => state !== 'ready').map(({ name }) => name);
}

interface Planned {
  readonly plan: AppPlan;
  readonly kept: Draft[];
  /** When its rollout is to be looked at again. */
  readonly moments: readonly number[];
  /** It waits for what proxies have to say. */
  readonly asks: boolean;
}

function planApp(context: AppContext, before: readonly InstanceView[]): Planned {
  const drafts: Draft[] = before.map((instance) => ({ ...instance }));
  for (const draft of drafts) lose(draft, context);
  for (const draft of drafts) date(draft, context);
  const { app, now } = context;
  const course = courseOf(app, (target) => sightOf(target, drafts, context), now);
  const step = rollOut(rolloutRequest(course, context, drafts), now);
  const retire = new Set(step.retire);
  for (const draft of drafts) {
    if (retire.has(draft.id)) draft.retiring = true;
    if (draft.retiring) leave(draft, context);
  }
  const kept = drafts.filter((draft) => !isGone(draft, context));
  for (const draft of kept) assign(draft, context);
  const start = [
    ...Array.from({ length: step.start }, () => startOne(course.target, context)),
    ...Array.from({ length: course.kept === null ? 0 : step.startKept }, () => startOne(course.kept!, context)),
  ];
  const endpoints = endpointsOf({ app, course }, kept);
  const instances = [
    ...kept,
    ...start.map((instance) => ({ ...instance, state: 'pending' as const, retiring: false })),
  ];
  const missed = context.replaceLost ? [] : missedNames(context.snapshot.nodes);
  const status = statusOf({ app, course, instances, missed });
  return {
    kept,
    moments: course.rollout === null ? [] : rolloutMoments(course, course.rollout, kept, context),
    asks: (course.rollout !== null && awaitsReports(course.rollout)) || kept.some(isDraining),
    plan: {
      app,
      start,
      change: changesOf(before, kept, app, endpoints),
      remove: before.filter((instance) => !kept.some(({ id }) => id === instance.id)),
      endpoints: sameEndpoints(app.endpoints, endpoints) ? null : endpoints,
      status: sameValue(app.status, status) ? null : status,
      rollout: sameValue(app.rollout, course.rollout) ? null : course.rollout,
      deleteApp: app.deleting && instances.length === 0,
    },
  };
}

/** Proxies send it nothing new and still have requests in flight. */
function isDraining({ state, drainUntil }: InstanceView): boolean {
  return state === 'draining' && drainUntil !== null;
}

function rolloutRequest(course: Course, context: AppContext, instances: readonly InstanceView[]): RolloutRequest {
  const { app, nodes, replaceLost, limits, now } = context;
  const targets = instances.filter(({ revision }) => revision === course.target.id);
  const healthyMs = course.rollout?.phase === 'running' ? course.rollout.policy.healthyMs : 0;
  return {
    replicas: app.replicas,
    target: course.target.id,
    good: app.good?.id ?? null,
    pace: paceOf(course, app.replicas, targets),
    instances,
    replaceLost,
    failedHoldMs: limits.failedHoldMs,
    isAvailable: ({ availableAt, state }) => availableAt !== null && state === 'ready',
    isSettled: (instance) => isHealthy(instance, healthyMs, now),
    isEvicted: ({ node }) => node !== null && nodes.get(node)?.intake === 'draining',
  };
}

/** Notes since when an instance has been available: ready, and known to every registered proxy where requests reach it. */
function date(draft: Draft, context: AppContext): void {
  const { snapshot, now } = context;
  const { state, joinedGeneration } = draft;
  const isKnown = joinedGeneration !== null && isApplied(joinedGeneration, snapshot.proxies);
  const isAvailable = state === 'ready' && (isKnown || isWorker(draft, context));
  draft.availableAt = isAvailable ? (draft.availableAt ?? now) : null;
}

/** No request reaches it, so no proxy ever hears of it. */
function isWorker(instance: InstanceView, context: AppContext): boolean {
  return !(revisionOf(instance, context)?.ports.includes(httpPort) ?? true);
}

function isHealthy(instance: InstanceView, healthyMs: number, now: number): boolean {
  const since = healthySince(instance);
  return since !== null && now >= since + healthyMs;
}

/** An instance that was restarted between two looks was never seen to be away, but is younger than its availability. */
function healthySince({ state, availableAt, stateAt }: InstanceView): number | null {
  return state === 'ready' && availableAt !== null ? Math.max(availableAt, stateAt) : null;
}

/** The app as its rollout sees it; of one that goes back, the good revision is what it is about. */
function sightOf(target: string, drafts: readonly Draft[], context: AppContext): Sight {
  const { app, snapshot, replaceLost, now } = context;
  const healthyMs = app.rollout?.policy.healthyMs ?? 0;
  const live = drafts.filter(isLive);
  const candidates = live.filter(({ revision }) => revision === target);
  return {
    replicas: app.replicas,
    candidates: candidates.map((instance) => candidateOf(instance, context, isHealthy(instance, healthyMs, now))),
    others: drafts.filter((draft) => draft.revision !== target && (isLive(draft) || isLeft(draft))).length,
    isHeld: !replaceLost,
    lagging: lagging(app.endpointsGeneration, snapshot.proxies),
    isUnheard: snapshot.proxies.some(({ isSilent }) => isSilent),
    reports: new Map(snapshot.proxies.map(({ id, heartbeats }) => [id, heartbeats])),
    traffic: trafficOf(target, app, drafts),
  };
}

/** Its machine is not heard of, and nobody has taken its place: it may serve still. */
function isLeft({ state, retiring }: Draft): boolean {
  return state === 'lost' && !retiring;
}

function trafficOf(target: string, { traffic, good, endpoints }: AppView, drafts: readonly Draft[]): Traffic {
  const asked = new Set(endpoints?.filter(isAsked).map(({ instance }) => instance));
  return {
    target: new Map(traffic.filter(({ revision }) => revision === target).map((counts) => [counts.instance, counts])),
    good: sumOf(traffic.filter(({ revision }) => revision === good?.id)),
    isGoodAsked: drafts.some(({ id, revision }) => revision === good?.id && asked.has(id)),
  };
}

function candidateOf(instance: InstanceView, context: AppContext, healthy: boolean): Candidate {
  const { id, node, state, restarts, createdAt, joinedGeneration, leftGeneration } = instance;
  const wasKnown = joinedGeneration !== null || leftGeneration !== null;
  // A worker is ready as soon as it runs, so one that was started again has been.
  const hasServed = wasKnown || (restarts > 0 && isWorker(instance, context));
  return { id, node, state, restarts, createdAt, hasServed, isHealthy: healthy };
}

function rolloutMoments(
  { target }: Course,
  rollout: RolloutView,
  kept: readonly Draft[],
  context: AppContext,
): number[] {
  const candidates = kept.filter((draft) => isLive(draft) && draft.revision === target.id);
  const { healthyMs } = rollout.policy;
  const healthy = candidates.map(healthySince).filter((since) => since !== null);
  const moments = momentsOf(
    rollout,
    candidates.map((draft) => candidateOf(draft, context, false)),
  );
  return rollout.phase === 'running' || rollout.phase === 'failed'
    ? [...moments, ...healthy.map((since) => since + healthyMs)]
    : [];
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
  if (draft.state === 'stopping' || draft.state === 'stopped') return;
  if (draft.state === 'lost') {
    draft.reason = stuckReason(draft, context);
    return;
  }
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

/** Only its agent can say that it has ended, or a person that there is no such machine any more. */
function stuckReason({ node, reason }: Draft, { nodes }: AppContext): string {
  const host = node === null ? undefined : nodes.get(node);
  if (host === undefined) return reason;
  return `its node ${host.name} is lost: it ends when that is back, or with \`alto nodes delete ${host.name}\``;
}

/** Chooses a machine for an instance without one, or says why there is none. */
function assign(draft: Draft, context: AppContext): void {
  const revision = revisionOf(draft, context);
  if (draft.state !== 'pending' || draft.node !== null || revision === undefined) return;
  const placed = place(context.occupancy, { app: draft.app, revision });
  draft.node = placed.node;
  draft.reason = placed.node === null ? placed.reason : placedReason(placed.node, context);
}

function startOne(revision: RevisionView, context: AppContext): NewInstance {
  const { app, occupancy } = context;
  const placed = place(occupancy, { app: app.id, revision });
  const reason = placed.node === null ? placed.reason : placedReason(placed.node, context);
  return { revision: revision.id, node: placed.node, reason };
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

function wakeAt(
  instances: readonly InstanceView[],
  ofRollouts: readonly number[],
  limits: PlanLimits,
  now: number,
): number | null {
  const ofInstances = instances.flatMap(({ state, stateAt, drainUntil }) => {
    if (state === 'draining' && drainUntil !== null) return [drainUntil];
    return state === 'failed' ? [stateAt + limits.failedHoldMs] : [];
  });
  const ahead = [...ofInstances, ...ofRollouts].filter((moment) => moment > now);
  return ahead.length === 0 ? null : Math.min(...ahead);
}

function isEmpty({ start, change, remove, endpoints, status, rollout, deleteApp }: AppPlan): boolean {
  const isSame = endpoints === null && status === null && rollout === null;
  return isSame && start.length + change.length + remove.length === 0 && !deleteApp;
}
