/** The cluster as the reconciler reads and writes it: one snapshot in, one app's plan out, each in a transaction. */
import { Injectable } from '@nestjs/common';
import { Clock, Database, type Lease } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import type { AppEntity, AppOutline } from '../apps/app.entity';
import { AppsService } from '../apps/apps.service';
import { EndpointsService } from '../endpoints/endpoints.service';
import { InstancesService } from '../instances/instances.service';
import { NodesService } from '../nodes/nodes.service';
import { Nudges } from '../nudges';
import type { AppPlan } from '../placement/planner';
import type { AppView, NodeView, RevisionView, Snapshot } from '../placement/snapshot';
import { LogsService } from '../logs/logs.service';
import { RevisionsService } from '../revisions/revisions.service';
import { isJudgedByAnswers, type RolloutView } from '../rollouts/rollout.state';
import { RolloutsService } from '../rollouts/rollouts.service';
import { TrafficService } from '../rollouts/traffic.service';
import { ClockSkipsStore } from './clock-skips.store';
import type { ClockSetting } from './clock-watch';

/** Longer than anything waits. */
const clockSkipsKeptMs = 7 * 24 * 3_600_000;

/** What is heard of the cluster's members, to tell their silence from. */
export interface Heartbeats {
  readonly nodes: readonly NodeView[];
  readonly ofNodes: ReadonlyMap<string, number>;
  readonly ofProxies: ReadonlyMap<string, number>;
}

/** What the reconciler needs of the world; tests wrap it to let each step fail in turn. */
export abstract class ClusterPort {
  abstract heartbeats(): Promise<Heartbeats>;
  abstract snapshot(): Promise<Snapshot>;
  abstract settleNode(lease: Lease, id: string, state: NodeView['state'], heartbeats: number): Promise<void>;
  abstract strikeOffProxies(lease: Lease, judged: ReadonlyMap<string, number>): Promise<void>;
  /** @throws AltoError conflict when what the plan rests on has changed, stale_writer when the lease is lost */
  abstract commit(lease: Lease, plan: AppPlan): Promise<void>;
  abstract recordClock(lease: Lease, settings: readonly ClockSetting[]): Promise<void>;
  abstract prune(lease: Lease): Promise<void>;
}

@Injectable()
export class Cluster extends ClusterPort {
  constructor(
    private readonly database: Database,
    private readonly apps: AppsService,
    private readonly revisions: RevisionsService,
    private readonly rollouts: RolloutsService,
    private readonly traffic: TrafficService,
    private readonly logs: LogsService,
    private readonly instances: InstancesService,
    private readonly nodes: NodesService,
    private readonly endpoints: EndpointsService,
    private readonly clockSkips: ClockSkipsStore,
    private readonly nudges: Nudges,
    readonly clock: Clock,
  ) {
    super();
  }

  async heartbeats(): Promise<Heartbeats> {
    const { manager } = this.database;
    const [nodes, proxies] = [await this.nodes.survey(manager), await this.endpoints.registered(manager)];
    return { nodes: nodes.views, ofNodes: nodes.heartbeats, ofProxies: proxies.heartbeats };
  }

  snapshot(): Promise<Snapshot> {
    return this.database.transaction((transaction) => this.read(transaction), { isolation: 'REPEATABLE READ' });
  }

  settleNode(lease: Lease, id: string, state: NodeView['state'], heartbeats: number): Promise<void> {
    return lease.transaction((transaction) => this.nodes.settle(transaction, id, state, heartbeats));
  }

  strikeOffProxies(lease: Lease, judged: ReadonlyMap<string, number>): Promise<void> {
    return lease.transaction((transaction) => this.endpoints.strikeOff(transaction, judged));
  }

  /** What a failing instance said last is asked for before it is ended, and outside the transaction. */
  async commit(lease: Lease, plan: AppPlan): Promise<void> {
    const told = await this.withLastWords(plan);
    await lease.transaction((transaction) => this.write(transaction, lease.token, told));
  }

  /** A clock that was set back will show again what it was set forward over before: that time passes then. */
  recordClock(lease: Lease, settings: readonly ClockSetting[]): Promise<void> {
    return lease.transaction(async (transaction) => {
      for (const { expected, shown } of settings) {
        if (shown < expected) await this.clockSkips.removeAfter(transaction, new Date(shown));
        else await this.clockSkips.insert(transaction, { from: expected, until: shown });
      }
    });
  }

  prune(lease: Lease): Promise<void> {
    return lease.transaction(async (transaction) => {
      await this.endpoints.prune(transaction);
      await this.traffic.prune(transaction);
      await this.instances.prune(transaction);
      await this.clockSkips.removeBefore(transaction, new Date(this.clock.nowMs() - clockSkipsKeptMs));
    });
  }

  private async read(transaction: EntityManager): Promise<Snapshot> {
    const apps = await this.apps.outlines(transaction);
    const instances = await this.instances.views(transaction);
    const goods = apps.flatMap(({ goodRevision }) => goodRevision ?? []);
    const used = [...apps.map(({ revision }) => revision), ...goods, ...instances.map(({ revision }) => revision)];
    const rollouts = await this.rollouts.views(
      transaction,
      apps.flatMap(({ rollout }) => rollout ?? []),
    );
    const revisions = await this.revisions.views(transaction, used);
    const told = await this.endpoints.told(transaction);
    const running = [...rollouts.values()].filter(({ phase }) => phase === 'running').map(({ id }) => id);
    const traffic = await this.traffic.views(transaction, running);
    return {
      nodes: (await this.nodes.survey(transaction)).views,
      proxies: (await this.endpoints.registered(transaction)).views,
      apps: apps.flatMap((app) => appView(app, { revisions, rollouts, told, traffic })),
      instances,
      revisions,
      clockSkips: await this.clockSkips.all(transaction),
    };
  }

  /** Locks in the order app, nodes, counter, instances, as everybody does, so that no two writers wait for each other. */
  private async write(transaction: EntityManager, fencing: number, plan: AppPlan): Promise<void> {
    const app = await this.apps.lockForPlan(transaction, plan.app.id, plan.app.version);
    const { changed, placing } = nodesOf(plan);
    const setGenerations = await this.nodes.nextSets(transaction, changed, placing, fencing);
    const endpointGeneration = await this.tell(transaction, app, plan);
    const { target, good } = plan.app;
    const revisionNumbers = new Map([target, ...(good === null ? [] : [good])].map(({ id, number }) => [id, number]));
    await this.instances.carryOut(transaction, plan, { app, revisionNumbers, setGenerations, endpointGeneration });
    await this.apps.recordPlan(transaction, app, plan);
    if (plan.deleteApp) await this.apps.remove(transaction, app);
    if (isFirstJudged(plan)) await this.nudgeProxies(transaction);
    this.database.afterCommit(transaction, () => this.nudges.nodes(changed));
  }

  private async withLastWords(plan: AppPlan): Promise<AppPlan> {
    const { rollout, app } = plan;
    const failing = rollout?.failingInstance ?? null;
    if (rollout === null || failing === null || failing === app.rollout?.failingInstance) return plan;
    const lastLogLines = await this.logs.lastWords(failing);
    const status = plan.status ?? app.status;
    const told = status.rollout === null ? status : { ...status, rollout: { ...status.rollout, lastLogLines } };
    return { ...plan, rollout: { ...rollout, lastLogLines }, status: told };
  }

  private async tell(
    transaction: EntityManager,
    app: AppEntity,
    { endpoints, deleteApp }: AppPlan,
  ): Promise<number | null> {
    if (endpoints === null && !deleteApp) return null;
    await this.nudgeProxies(transaction);
    return this.endpoints.tell(transaction, app, endpoints ?? [], deleteApp);
  }

  private async nudgeProxies(transaction: EntityManager): Promise<void> {
    const proxies = await this.endpoints.registered(transaction);
    this.database.afterCommit(transaction, () => this.nudges.proxies(proxies.heartbeats.keys()));
  }
}

/** From here on proxies are to report often: they learn of it when they ask, and see what the good revision answers. */
function isFirstJudged({ app, rollout }: AppPlan): boolean {
  return rollout !== null && isJudgedByAnswers(rollout) && app.rollout?.begunAt === null;
}

function appView(
  app: AppOutline,
  {
    revisions,
    rollouts,
    told,
    traffic,
  }: {
    readonly revisions: ReadonlyMap<string, RevisionView>;
    readonly rollouts: ReadonlyMap<string, RolloutView>;
    readonly told: ReadonlyMap<string, { endpoints: AppView['endpoints']; generation: number }>;
    readonly traffic: ReadonlyMap<string, AppView['traffic']>;
  },
): AppView[] {
  const target = revisions.get(app.revision);
  if (target === undefined) return [];
  const { revision: _, goodRevision, rollout, ...outline } = app;
  const { endpoints = null, generation = null } = told.get(app.id) ?? {};
  return [
    {
      ...outline,
      replicas: app.deleting ? 0 : app.replicas,
      target,
      good: goodRevision === null ? null : (revisions.get(goodRevision) ?? null),
      rollout: rollout === null ? null : (rollouts.get(rollout) ?? null),
      endpoints,
      endpointsGeneration: generation,
      traffic: rollout === null ? [] : (traffic.get(rollout) ?? []),
    },
  ];
}

/** Nodes whose sets the plan changes, and those among them that are to take something new. */
function nodesOf(plan: AppPlan): { changed: Set<string>; placing: Set<string> } {
  const placed = [
    ...plan.start.map(({ node }) => node),
    ...plan.change.filter(({ before, after }) => before.node !== after.node).map(({ after }) => after.node),
  ].filter((node) => node !== null);
  const ended = [
    ...plan.change.filter(({ instructs }) => instructs).map(({ after }) => after.node),
    ...plan.remove.map(({ node }) => node),
  ].filter((node) => node !== null);
  return { changed: new Set([...placed, ...ended]), placing: new Set(placed) };
}
