/**
 * Endpoint sets: what proxies are told, and what they say they have applied. One counter for the whole cluster numbers
 * every change, so that a single number tells all that a proxy knows.
 */
import { Inject, Injectable } from '@nestjs/common';
import type { computeOperations, EndpointSet, InputOf, OutputOf } from '@alto/contracts';
import { Clock, CONFIG, Database } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import type { ComputeConfig } from '../config';
import { Nudges } from '../nudges';
import type { EndpointView, ProxyView } from '../placement/snapshot';
import { TrafficService } from '../rollouts/traffic.service';
import type { EndpointSetEntity } from './endpoint-set.entity';
import { EndpointsStore } from './endpoints.store';
import type { ProxyEntity } from './proxy.entity';
import { ProxiesStore } from './proxies.store';

type Report = InputOf<typeof computeOperations.proxies.sync>;
type Answer = OutputOf<typeof computeOperations.proxies.sync>;

const setsPerAnswerMax = 500;
/** An answer must stay below NATS's 1 MB. */
const endpointsPerAnswerMax = 5_000;
/** A bad version that has all the users, as after a blue-green switch, has them for about so long. */
const judgedReportsWithinMs = 1_000;

export interface AppFacts {
  readonly id: string;
  readonly name: string;
  readonly project: string;
  readonly projectName: string;
}

@Injectable()
export class EndpointsService {
  constructor(
    @Inject(CONFIG) private readonly config: ComputeConfig,
    private readonly database: Database,
    private readonly sets: EndpointsStore,
    private readonly proxies: ProxiesStore,
    private readonly traffic: TrafficService,
    private readonly nudges: Nudges,
    private readonly clock: Clock,
  ) {}

  /** Registers the proxy by its report and answers with what it does not know yet. */
  async sync(report: Report): Promise<Answer> {
    await this.database.transaction((transaction) => this.register(transaction, report));
    return this.database.transaction((transaction) => this.answer(transaction, report), {
      isolation: 'REPEATABLE READ',
    });
  }

  /** What proxies were told of each app, by app id. */
  async told(manager: EntityManager): Promise<Map<string, { endpoints: EndpointView[]; generation: number }>> {
    const rows = await this.sets.all(manager);
    return new Map(rows.map(({ app, endpoints, generation }) => [app, { endpoints, generation }]));
  }

  async registered(manager: EntityManager): Promise<{ views: ProxyView[]; heartbeats: Map<string, number> }> {
    const rows = await this.proxies.all(manager);
    return {
      views: rows.map(({ id, appliedGeneration, busy, heartbeats }) => ({
        id,
        appliedGeneration,
        heartbeats,
        isSilent: false,
        busy: busy === null ? null : new Set(busy),
      })),
      heartbeats: new Map(rows.map(({ id, heartbeats }) => [id, heartbeats])),
    };
  }

  /** Strikes off proxies whose place others have taken. @param judged heartbeat counters by proxy id */
  async strikeOff(transaction: EntityManager, judged: ReadonlyMap<string, number>): Promise<void> {
    await this.proxies.remove(transaction, judged);
  }

  /** Replaces what proxies are told of an app. @returns the new generation */
  async tell(
    transaction: EntityManager,
    app: AppFacts,
    endpoints: readonly EndpointView[],
    deleted = false,
  ): Promise<number> {
    const counter = await this.sets.lockCounter(transaction);
    const generation = counter.generation + 1;
    await this.sets.saveCounter(transaction, { ...counter, generation });
    await this.sets.put(transaction, {
      app: app.id,
      appName: app.name,
      project: app.project,
      projectName: app.projectName,
      generation,
      deleted,
      endpoints: [...endpoints],
      updatedAt: this.clock.now(),
    });
    return generation;
  }

  /** Forgets apps that were deleted long ago; a proxy that has been away for longer reads everything again. */
  async prune(transaction: EntityManager): Promise<void> {
    const before = new Date(this.clock.nowMs() - this.config.ALTO_TOMBSTONES_KEPT_MS);
    const pruned = await this.sets.newestTombstoneBefore(transaction, before);
    if (pruned === 0) return;
    const counter = await this.sets.lockCounter(transaction);
    await this.sets.removeTombstones(transaction, before);
    await this.sets.saveCounter(transaction, { ...counter, pruned: Math.max(counter.pruned, pruned) });
  }

  private async register(transaction: EntityManager, report: Report): Promise<void> {
    const known = await this.proxies.lock(transaction, report.proxy);
    const proxy: ProxyEntity = {
      id: report.proxy,
      appliedGeneration: report.appliedGeneration,
      busy: report.busy ?? null,
      heartbeats: (known?.heartbeats ?? 0) + 1,
      lastSeenAt: this.clock.now(),
    };
    await this.proxies.put(transaction, proxy);
    const isJudged = await this.traffic.record(transaction, proxy.id, report.traffic ?? []);
    const isNews = known?.appliedGeneration !== proxy.appliedGeneration || !sameBusy(known.busy, proxy.busy);
    if (isNews || isJudged) this.database.afterCommit(transaction, () => this.nudges.reconciler());
  }

  private async answer(transaction: EntityManager, { appliedGeneration: applied, listedTo }: Report): Promise<Answer> {
    const counter = await this.sets.counter(transaction);
    // Ahead of us: the database was set back, so what the proxy knows is of another history.
    const isStranger = applied === 0 || applied > counter.generation || applied < counter.pruned;
    const isList = listedTo !== undefined || isStranger;
    // What changes while a list is read gets a higher generation, so it comes on a later page, deletions included.
    const since = listedTo ?? (isStranger ? 0 : applied);
    const rows = await this.sets.changedSince(transaction, since, setsPerAnswerMax + 1);
    const carried = carriable(rows);
    const isAll = carried.length === rows.length;
    const isWatched = await this.traffic.isWatched(transaction);
    return {
      generation: carried.at(-1)?.generation ?? since,
      complete: isList && isAll,
      ...(isList && !isAll && { more: true }),
      sets: carried.map(setOf),
      ...(isWatched && { reportWithinMs: judgedReportsWithinMs }),
    };
  }
}

/** As many whole sets as an answer can carry, and at least one. */
function carriable(rows: readonly EndpointSetEntity[]): readonly EndpointSetEntity[] {
  let endpoints = 0;
  const count = rows.findIndex((row, index) => {
    endpoints += row.endpoints.length;
    return index >= setsPerAnswerMax || (index > 0 && endpoints > endpointsPerAnswerMax);
  });
  return count === -1 ? rows : rows.slice(0, count);
}

function setOf(row: EndpointSetEntity): EndpointSet {
  const { app, appName, project, projectName, generation, deleted, endpoints } = row;
  return { app, appName, project, projectName, generation, deleted, endpoints };
}

function sameBusy(a: readonly string[] | null, b: readonly string[] | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((id) => b.includes(id));
}
