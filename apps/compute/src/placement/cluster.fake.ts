/**
 * A cluster in memory for tests of the planner: it commits plans as the reconciler does, and plays agents and proxies
 * that act when told to. Values are plain, so that a test can look at every moment.
 */
import { transition, wantsStopped, type Observation } from '../instances/instance.state';
import { type Counts, noRequests } from '../rollouts/error-rate';
import { isProven, isToBeJudged, notBegun, type RolloutPolicy, type RolloutView } from '../rollouts/rollout.state';
import { type Tally, tally } from '../rollouts/traffic';
import { isAsked } from './endpoints';
import { PassedTime, planByPassedTime } from './passed-time';
import type { AppPlan, Plan } from './planner';
import type {
  AppStatus,
  AppView,
  ClockSkip,
  InstanceView,
  NodeView,
  PlanLimits,
  ProxyView,
  RevisionView,
  Snapshot,
} from './snapshot';

export const limits: PlanLimits = { drainMs: 30_000, failedHoldMs: 60_000 };
const unknownStatus: AppStatus = {
  state: 'progressing',
  reason: 'new',
  desired: 0,
  ready: 0,
  updated: 0,
  rollout: null,
};

/** What a test of something else wants of rollouts: that they take no time. */
export const atOnce: RolloutPolicy = {
  strategy: { kind: 'rolling' },
  healthyMs: 0,
  progressDeadlineMs: 600_000,
  autoRevert: true,
  readyWithinMs: 300_000,
};

/**
 * What becomes of the instances of a revision: `flaky` ones crash a few seconds after they were ready, and `failing`
 * ones are ready throughout and answer 500.
 */
export type Nature = 'good' | 'crashing' | 'silent' | 'flaky' | 'failing';
const flakyMs = 5_000;
/** What everybody's part takes of a settling cluster's time. */
const roundMs = 10;
/** Requests to each endpoint that takes any, each time that time goes by. */
const requestsPerPass = 15;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function node(id: string, more: Partial<NodeView> = {}): NodeView {
  return {
    id,
    name: id,
    state: 'ready',
    intake: 'open',
    labels: {},
    capacity: { cpuMillis: 4_000, memoryBytes: 2 ** 32 },
    ...more,
  };
}

export function revision(number: number, more: Partial<RevisionView> = {}): RevisionView {
  return {
    id: `rev-${number}`,
    number,
    resources: { cpuMillis: 100, memoryBytes: 2 ** 27 },
    setBytes: 1_000,
    constraints: [],
    spread: 'node',
    ports: ['http'],
    ...more,
  };
}

export class ModelCluster {
  nowMs = 1_000_000;
  generation = 0;
  readonly nodes = new Map<string, Mutable<NodeView>>();
  readonly apps = new Map<string, Mutable<AppView>>();
  readonly instances = new Map<string, Mutable<InstanceView>>();
  readonly revisions = new Map<string, RevisionView>();
  readonly proxies = new Map<string, Mutable<ProxyView>>();
  clockSkips: readonly ClockSkip[] = [];
  /** By revision id; good unless given. */
  readonly natures = new Map<string, Nature>();
  begun = 0;
  private readonly counted = new Map<string, Counts>();
  /** By rollout and instance. */
  private readonly tallies = new Map<string, Tally>();
  private made = 0;

  addNode(view: NodeView): void {
    this.nodes.set(view.id, { ...view });
  }

  addProxy(id: string, busy: ReadonlySet<string> | null = new Set()): void {
    this.proxies.set(id, { id, appliedGeneration: 0, busy, heartbeats: 0, isSilent: false });
  }

  put(id: string, replicas: number, target: RevisionView, policy: RolloutPolicy = atOnce): void {
    this.revisions.set(target.id, target);
    const before = this.apps.get(id);
    const version = (before?.version ?? 0) + 1;
    const { status = unknownStatus, endpoints = null, endpointsGeneration = null, good = null } = before ?? {};
    const begins =
      before?.target.id !== target.id ||
      isToBeJudged(
        { revision: target.id, good: good?.id ?? null, replicas: before.replicas },
        replicas,
        before.rollout,
      );
    const rollout = begins ? this.begin(before, target, policy) : (before?.rollout ?? null);
    const traffic = begins ? [] : (before?.traffic ?? []);
    const rest = { status, endpoints, endpointsGeneration, good, rollout, traffic };
    this.apps.set(id, { id, name: id, version, replicas, deleting: false, target, ...rest });
  }

  private begin(before: AppView | undefined, to: RevisionView, policy: RolloutPolicy): RolloutView {
    const good = before === undefined || before.good === null || before.good.id === to.id ? null : before.good;
    const replaces = good !== null && before !== undefined && before.replicas > 0;
    this.begun += 1;
    return {
      ...notBegun,
      id: `rollout-${this.begun}`,
      number: this.begun,
      policy: replaces ? policy : { ...policy, strategy: { kind: 'rolling' } },
      to: to.id,
      toNumber: to.number,
      fromNumber: before?.target.number ?? null,
      good: good?.id ?? null,
      goodNumber: good?.number ?? null,
      reason: '',
    };
  }

  delete(id: string): void {
    const app = this.apps.get(id);
    if (app !== undefined) Object.assign(app, { deleting: true, replicas: 0 });
  }

  snapshot(): Snapshot {
    return structuredClone({
      nodes: [...this.nodes.values()],
      apps: [...this.apps.values()],
      instances: [...this.instances.values()],
      revisions: this.revisions,
      proxies: [...this.proxies.values()],
      clockSkips: this.clockSkips,
    });
  }

  plan(): Plan {
    return planByPassedTime(this.snapshot(), limits, this.nowMs);
  }

  /** One round of the reconciler. @returns true when there was nothing to do */
  reconcile(): boolean {
    const made = this.plan();
    for (const appPlan of made.apps) this.commit(appPlan);
    return made.apps.length === 0;
  }

  observe(id: string, as: Observation): void {
    const instance = this.instances.get(id);
    if (instance === undefined || instance.node === null) return;
    const state = transition(instance.state, { kind: 'observed', as, retiring: instance.retiring });
    if (as === 'backoff') instance.restarts += 1;
    if (state !== instance.state)
      Object.assign(instance, { state, stateAt: this.nowMs, version: instance.version + 1 });
    if (this.revisions.get(instance.revision)?.ports.includes('http'))
      instance.address ??= { ip: '10.0.0.1', port: 20_000 + Number(id.slice(4)) };
  }

  /** The agent of a node does what it was told, once. */
  obey(instance: InstanceView): void {
    if (wantsStopped(instance.state)) this.observe(instance.id, 'exited');
    else if (instance.state !== 'failed') this.observe(instance.id, this.becomes(instance));
  }

  /** The clock shows something else from now on, and the reconciler has noted that. */
  setClock(ms: number): void {
    const before = this.nowMs;
    this.nowMs += ms;
    if (ms < 0) this.clockSkips = this.clockSkips.filter(({ until }) => until <= this.nowMs);
    else this.clockSkips = [...this.clockSkips, { from: before, until: this.nowMs }];
  }

  /** Time goes by with requests, and takes with it what does not last. */
  pass(ms: number): void {
    this.nowMs += ms;
    for (const { id } of this.apps.values()) this.request(id);
    const { passedAt } = new PassedTime(this.clockSkips, this.nowMs);
    for (const { id, state, revision, stateAt } of [...this.instances.values()]) {
      const isFlaky = this.natures.get(revision) === 'flaky';
      if (isFlaky && state === 'ready' && passedAt(this.nowMs) >= passedAt(stateAt) + flakyMs)
        this.observe(id, 'backoff');
    }
  }

  /** Users send requests; which of them have failed is counted. */
  private request(id: string): void {
    const app = this.apps.get(id)!;
    const isTaken = (instance: string) => app.endpoints?.some((one) => one.instance === instance && isAsked(one));
    for (const { id: instance, revision: of } of this.of(id).filter((one) => isTaken(one.id))) {
      const failures = this.natures.get(of) === 'failing' ? requestsPerPass : 0;
      const counts = this.counted.get(instance) ?? { requests: 0, failures: 0 };
      this.counted.set(instance, {
        requests: counts.requests + requestsPerPass,
        failures: counts.failures + failures,
      });
    }
  }

  /** A proxy applies what it was told and reports, as each does every few seconds. */
  report(id: string): void {
    const proxy = this.proxies.get(id)!;
    proxy.appliedGeneration = this.generation;
    proxy.heartbeats += 1;
    for (const app of this.apps.values()) {
      app.traffic = this.of(app.id).map((instance) => ({
        instance: instance.id,
        revision: instance.revision,
        ...this.tallied(app, instance),
      }));
    }
  }

  /** What an older instance did before the first report within the rollout is not known. */
  private tallied({ rollout }: AppView, { id, createdAt }: InstanceView): Counts {
    const begunAt = rollout?.begunAt ?? null;
    const key = `${rollout?.id} ${id}`;
    const isNew = begunAt !== null && createdAt >= begunAt;
    const told = tally(this.tallies.get(key) ?? null, this.counted.get(id) ?? noRequests, isNew);
    this.tallies.set(key, told);
    return { requests: told.requests, failures: told.failures };
  }

  private becomes({ revision }: InstanceView): Observation {
    const nature = this.natures.get(revision);
    if (nature === 'crashing') return 'backoff';
    return nature === 'silent' ? 'running' : 'ready';
  }

  applyAll(): void {
    for (const id of this.proxies.keys()) this.report(id);
  }

  /** Everybody does their part until nothing changes. @returns rounds taken */
  settle(roundsMax = 500): number {
    for (let round = 1; round <= roundsMax; round++) {
      const isQuiet = this.reconcile();
      const before = JSON.stringify([...this.instances.values()]);
      for (const instance of [...this.instances.values()]) {
        const host = instance.node === null ? undefined : this.nodes.get(instance.node);
        if (host !== undefined && host.state !== 'lost') this.obey(instance);
      }
      const lag = [...this.proxies.values()].some(({ appliedGeneration }) => appliedGeneration < this.generation);
      this.applyAll();
      if (isQuiet && !lag && before === JSON.stringify([...this.instances.values()])) {
        const { wakeAt } = this.plan();
        if (wakeAt === null) return round;
        this.pass(wakeAt - this.nowMs);
      } else {
        this.pass(roundMs);
      }
    }
    throw new Error(`not settled after ${roundsMax} rounds: ${JSON.stringify([...this.instances.values()])}`);
  }

  of(app: string): InstanceView[] {
    return [...this.instances.values()].filter((instance) => instance.app === app);
  }

  private commit({ app, start, change, remove, endpoints, status, rollout, deleteApp }: AppPlan): void {
    const generation = endpoints === null ? null : ++this.generation;
    for (const { after, joins, leaves } of change) {
      const joined = joins ? { joinedGeneration: generation, leftGeneration: null } : {};
      const left = leaves ? { joinedGeneration: null, leftGeneration: generation } : {};
      this.instances.set(after.id, { ...after, ...joined, ...left, version: after.version + 1 });
    }
    for (const { id } of remove) this.instances.delete(id);
    for (const instance of start) this.insert(app, instance);
    const row = this.apps.get(app.id)!;
    if (endpoints !== null) Object.assign(row, { endpoints, endpointsGeneration: generation });
    if (rollout !== null) this.follow(row, rollout);
    if (status !== null) row.status = status;
    if (deleteApp) this.apps.delete(app.id);
  }

  private follow(app: Mutable<AppView>, rollout: RolloutView): void {
    app.rollout = rollout;
    if (isProven(rollout, app.replicas)) app.good = this.revisions.get(rollout.to) ?? null;
    if (rollout.phase === 'reverting' && app.good !== null) app.target = app.good;
  }

  private insert(app: AppView, instance: { revision: string; node: string | null; reason: string }): void {
    const id = `ins-${++this.made}`;
    this.instances.set(id, {
      id,
      app: app.id,
      ...instance,
      state: 'pending',
      retiring: false,
      address: null,
      version: 1,
      restarts: 0,
      availableAt: null,
      createdAt: this.nowMs + this.made,
      stateAt: this.nowMs,
      joinedGeneration: null,
      leftGeneration: null,
      drainUntil: null,
    });
  }
}
