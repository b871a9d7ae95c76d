import { Inject, Injectable } from '@nestjs/common';
import {
  AltoError,
  type InputOf,
  loadBalancerEvents,
  type loadBalancerOperations,
  newId,
  type OutputOf,
  type Route,
} from '@alto/contracts';
import { type CallContext, Clock, CONFIG, Database, isUniqueViolation, Outbox } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import type { LoadBalancerConfig } from '../config';
import { setOf } from '../traffic/known';
import { TrafficReconciler } from '../traffic/traffic.reconciler';
import { decodeCursor, encodeCursor } from './cursor';
import { refuseHost, taken } from './host-rules';
import type { RouteEntity } from './route.entity';
import { routeStatus } from './route-status';
import { routesMax, RoutesStore } from './routes.store';

type Operations = typeof loadBalancerOperations.routes;
type RouteEvent = (typeof loadBalancerEvents)[keyof typeof loadBalancerEvents];

const routesPerProjectMax = 500;

@Injectable()
export class RoutesService {
  constructor(
    @Inject(CONFIG) private readonly config: LoadBalancerConfig,
    private readonly database: Database,
    private readonly store: RoutesStore,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
    private readonly traffic: TrafficReconciler,
  ) {}

  /** Doing it again with the same host and app changes nothing. */
  async put(input: InputOf<Operations['put']>, call: CallContext): Promise<Route> {
    const { role, projectName } = call.caller;
    refuseHost(input.host, this.config.ALTO_APPS_DOMAIN, { isOperator: role === 'operator', projectName });
    try {
      return this.describe(await this.database.transaction((transaction) => this.change(transaction, input)));
    } catch (error) {
      throw isUniqueViolation(error, 'route_host') ? taken(input.host) : error;
    }
  }

  async get({ project, route: name }: InputOf<Operations['get']>): Promise<Route> {
    return this.describe(found(await this.store.find(this.database.manager, project, name), name));
  }

  async list({ project, limit, cursor }: InputOf<Operations['list']>): Promise<OutputOf<Operations['list']>> {
    const rows = await this.store.page(this.database.manager, project, decodeCursor(cursor), limit + 1);
    const shown = rows.slice(0, limit);
    const items = await Promise.all(shown.map((row) => this.describe(row)));
    const last = shown.at(-1);
    return rows.length > limit && last !== undefined ? { items, nextCursor: encodeCursor(last.name) } : { items };
  }

  async delete({ project, route: name }: InputOf<Operations['delete']>): Promise<Route> {
    const removed = await this.database.transaction(async (transaction) => {
      await this.store.beginChange(transaction);
      const row = found(await this.store.find(transaction, project, name), name);
      await this.store.remove(transaction, row.id);
      await this.tell(transaction, loadBalancerEvents.routeDeleted, { ...row, version: row.version + 1 });
      return row;
    });
    return this.describe(removed);
  }

  private async change(transaction: EntityManager, input: InputOf<Operations['put']>): Promise<RouteEntity> {
    const { project, route: name, host, app } = input;
    const unchanged = await this.store.find(transaction, project, name);
    if (unchanged?.host === host && unchanged.app === app) return unchanged;
    await this.store.beginChange(transaction);
    const before = await this.store.find(transaction, project, name);
    const holder = await this.store.findHost(transaction, host);
    if (holder !== null && holder.id !== before?.id) throw taken(host);
    if (before === null) await this.refuseTooMany(transaction, project);
    const now = this.clock.now();
    const row: RouteEntity = {
      id: before?.id ?? newId('route', now.getTime()),
      project,
      name,
      host,
      app,
      version: (before?.version ?? 0) + 1,
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
    };
    await this.store.put(transaction, row);
    await this.tell(
      transaction,
      before === null ? loadBalancerEvents.routeCreated : loadBalancerEvents.routeUpdated,
      row,
    );
    return row;
  }

  private async refuseTooMany(transaction: EntityManager, project: string): Promise<void> {
    const [ofProject, all] = [await this.store.count(transaction, project), await this.store.count(transaction)];
    if (ofProject < routesPerProjectMax && all < routesMax) return;
    throw new AltoError('quota_exceeded', {
      message:
        ofProject < routesPerProjectMax
          ? `The cloud has its ${routesMax} routes`
          : `The project has its ${routesPerProjectMax} routes`,
      nextStep: 'Delete routes that are not needed any more.',
    });
  }

  private async tell(transaction: EntityManager, event: RouteEvent, row: RouteEntity): Promise<void> {
    const { id, project, version } = row;
    const status: Route['status'] = { state: 'serving', reason: 'GET the route for its status.', targets: [] };
    await this.outbox.append(transaction, event, {
      project,
      resource: id,
      resourceVersion: version,
      data: toRoute(row, status),
    });
    this.database.afterCommit(transaction, () => this.traffic.routesChanged());
  }

  private async describe(row: RouteEntity): Promise<Route> {
    const set = setOf(this.traffic.known, row);
    const reports = set === undefined ? [] : await this.traffic.targets(set.app);
    return toRoute(row, routeStatus(row.app, set, reports, this.traffic.reason));
  }
}

function toRoute(
  { id, project, name, host, app, version, createdAt, updatedAt }: RouteEntity,
  status: Route['status'],
): Route {
  return {
    id,
    project,
    name,
    host,
    app,
    version,
    status,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

function found(row: RouteEntity | null, name: string): RouteEntity {
  if (row !== null) return row;
  throw new AltoError('not_found', { message: `There is no route '${name}' in this project.`, field: 'route' });
}
