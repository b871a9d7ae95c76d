/**
 * A cluster in memory for tests of the planner: it commits plans as the reconciler does, and plays agents and proxies
 * that act when told to. Values are plain, so that a test can look at every moment.
 */
import { transition, wantsStopped, type Observation } from '../instances/instance.state';
import { plan, type AppPlan, type Plan } from './planner';
import type {
  AppStatus,
  AppView,
  InstanceView,
  NodeView,
  PlanLimits,
  ProxyView,
  RevisionView,
  Snapshot,
} from './snapshot';

export const limits: PlanLimits = { drainMs: 30_000, failedHoldMs: 60_000 };
const unknownStatus: AppStatus = { state: 'progressing', reason: 'new', desired: 0, ready: 0, updated: 0 };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function node(id: string, more: Partial<NodeView> = {}): NodeView {
  return { id, name: id, state: 'ready', capacity: { cpuMillis: 4_000, memoryBytes: 2 ** 32 }, ...more };
}

export function revision(number: number, more: Partial<RevisionView> = {}): RevisionView {
  return { id: `rev-${number}`, number, resources: { cpuMillis: 100, memoryBytes: 2 ** 27 }, setBytes: 1_000, ...more };
}

export class ModelCluster {
  nowMs = 1_000_000;
  generation = 0;
  readonly nodes = new Map<string, Mutable<NodeView>>();
  readonly apps = new Map<string, Mutable<AppView>>();
  readonly instances = new Map<string, Mutable<InstanceView>>();
  readonly revisions = new Map<string, RevisionView>();
  readonly proxies = new Map<string, Mutable<ProxyView>>();
  private made = 0;

  addNode(view: NodeView): void {
    this.nodes.set(view.id, { ...view });
  }

  addProxy(id: string, busy: ReadonlySet<string> | null = new Set()): void {
    this.proxies.set(id, { id, appliedGeneration: 0, busy });
  }

  put(id: string, replicas: number, target: RevisionView): void {
    this.revisions.set(target.id, target);
    const before = this.apps.get(id);
    const version = (before?.version ?? 0) + 1;
    const { status = unknownStatus, endpoints = null } = before ?? {};
    this.apps.set(id, { id, name: id, version, replicas, deleting: false, target, status, endpoints });
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
    });
  }

  plan(): Plan {
    return plan(this.snapshot(), limits, this.nowMs);
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
    if (state !== instance.state)
      Object.assign(instance, { state, stateAt: this.nowMs, version: instance.version + 1 });
    instance.address ??= { ip: '10.0.0.1', port: 20_000 + Number(id.slice(4)) };
  }

  /** The agent of a node does what it was told, once. */
  obey(instance: InstanceView): void {
    if (wantsStopped(instance.state)) this.observe(instance.id, 'exited');
    else if (instance.state !== 'failed') this.observe(instance.id, 'ready');
  }

  applyAll(): void {
    for (const proxy of this.proxies.values()) proxy.appliedGeneration = this.generation;
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
        this.nowMs = wakeAt;
      }
    }
    throw new Error(`not settled after ${roundsMax} rounds: ${JSON.stringify([...this.instances.values()])}`);
  }

  of(app: string): InstanceView[] {
    return [...this.instances.values()].filter((instance) => instance.app === app);
  }

  private commit({ app, start, change, remove, endpoints, status, deleteApp }: AppPlan): void {
    const generation = endpoints === null ? null : ++this.generation;
    for (const { after, joins, leaves } of change) {
      const joined = joins ? { joinedGeneration: generation, leftGeneration: null } : {};
      const left = leaves ? { joinedGeneration: null, leftGeneration: generation } : {};
      this.instances.set(after.id, { ...after, ...joined, ...left, version: after.version + 1 });
    }
    for (const { id } of remove) this.instances.delete(id);
    for (const instance of start) this.insert(app, instance);
    const row = this.apps.get(app.id)!;
    if (endpoints !== null) row.endpoints = endpoints;
    if (status !== null) row.status = status;
    if (deleteApp) this.apps.delete(app.id);
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
      createdAt: this.nowMs + this.made,
      stateAt: this.nowMs,
      joinedGeneration: null,
      leftGeneration: null,
      drainUntil: null,
    });
  }
}
