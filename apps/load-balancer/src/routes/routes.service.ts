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
import {
  type CallContext,
  checkPrecondition,
  Clock,
  CONFIG,
  Database,
  isUniqueViolation,
  Outbox,
} from '@alto/platform';
import type { EntityManager } from 'typeorm';
import type { LoadBalancerConfig } from '../config';
import { headerNamesMax } from '../haproxy/maps';
import type { TargetReport } from '../proxy/proxy.engine';
import { setOf, sharesOf } from '../traffic/known';
import { TrafficReconciler } from '../traffic/traffic.reconciler';
import { decodeCursor, encodeCursor } from './cursor';
import { refuseHost, taken } from './host-rules';
import type { RouteEntity } from './route.entity';
import { contentOf, namesOfHeaders, type RouteContent } from './route-rules';
import { routeStatus } from './route-status';
import { routesMax, RoutesStore } from './routes.store';

type Operations = typeof loadBalancerOperations.routes;
type RouteEvent = (typeof loadBalancerEvents)[keyof typeof loadBalancerEvents];

const routesPerProjectMax = 500;
/** Each takes a hundred entries of a map in every proxy. */
const weightedRoutesMax = 500;
/** Of header rules, as JSON: HAProxy is asked for all of them at once, and each change of a route reads them. */
const headerBytes = { ofProject: 512 * 1024, ofCloud: 2 * 1024 * 1024 };

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

  /** Doing it again with the same input changes nothing. */
  async put(input: InputOf<Operations['put']>, call: CallContext): Promise<Route> {
    const { role, projectName } = call.caller;
    refuseHost(input.host, this.config.ALTO_APPS_DOMAIN, { isOperator: role === 'operator', projectName });
    const content = contentOf(input);
    try {
      return this.describe(await this.database.transaction((transaction) => this.change(transaction, input, content)));
    } catch (error) {
      throw isUniqueViolation(error, 'route_host_path') ? taken(input.host) : error;
    }
  }

  async get({ project, route: name }: InputOf<Operations['get']>): Promise<Route> {
    return this.describe(found(await this.store.find(this.database.manager, project, name), name));
  }

  async list({ project, limit, cursor }: InputOf<Operations['list']>): Promise<OutputOf<Operations['list']>> {
    const rows = await this.store.page(this.database.manager, project, decodeCursor(cursor), limit + 1);
    const shown = rows.slice(0, limit);
    const targets = this.targetsOnce();
    const items = await Promise.all(shown.map((row) => this.describe(row, targets)));
    const last = shown.at(-1);
    return rows.length > limit && last !== undefined ? { items, nextCursor: encodeCursor(last.name) } : { items };
  }

  async delete({ project, route: name }: InputOf<Operations['delete']>): Promise<Route> {
    const removed = await this.database.transaction(async (transaction) => {
      await this.store.beginChange(transaction);
      const row = found(await this.store.find(transaction, project, name), name);
      checkPrecondition(row);
      await this.store.remove(transaction, row.id);
      await this.tell(transaction, loadBalancerEvents.routeDeleted, { ...row, version: row.version + 1 });
      return row;
    });
    return this.describe(removed);
  }

  private async change(
    transaction: EntityManager,
    { project, route: name }: InputOf<Operations['put']>,
    content: RouteContent,
  ): Promise<RouteEntity> {
    const unchanged = await this.store.find(transaction, project, name);
    if (unchanged !== null && isSame(unchanged, content)) {
      checkPrecondition(unchanged);
      return unchanged;
    }
    await this.store.beginChange(transaction);
    const before = await this.store.find(transaction, project, name);
    checkPrecondition(before);
    refuseTaken(await this.store.ofHost(transaction, content.host), project, name, content);
    if (before === null) await this.refuseTooMany(transaction, project);
    if (content.details !== null) await this.refuseTooManyDetails(transaction, { id: before?.id, project }, content);
    const now = this.clock.now();
    const row: RouteEntity = {
      id: before?.id ?? newId('route', now.getTime()),
      project,
      name,
      ...content,
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
    throw exceeded(
      undefined,
      ofProject < routesPerProjectMax
        ? `The cloud has its ${routesMax} routes`
        : `The project has its ${routesPerProjectMax} routes`,
    );
  }

  private async refuseTooManyDetails(
    transaction: EntityManager,
    { id, project }: { id: string | undefined; project: string },
    content: RouteContent,
  ): Promise<void> {
    const others = (await this.store.withDetails(transaction)).filter((route) => route.id !== id);
    const bytes = sumOf([...others, content].map(headerBytesOf));
    const ofProject = sumOf([...others.filter((route) => route.project === project), content].map(headerBytesOf));
    if (content.details?.headers !== undefined && (ofProject > headerBytes.ofProject || bytes > headerBytes.ofCloud)) {
      const whose = ofProject > headerBytes.ofProject ? 'project' : 'cloud';
      throw exceeded('headers', `The header rules of the ${whose} would be longer than it may have in all`);
    }
    const all = [...others, content].map(({ details }) => details);
    if (all.filter((details) => (details?.apps?.length ?? 0) > 1).length > weightedRoutesMax) {
      throw exceeded('apps', `The cloud has its ${weightedRoutesMax} routes to several apps`);
    }
    for (const direction of ['request', 'response'] as const) {
      const names = new Set(all.flatMap((details) => namesOfHeaders(details, direction)));
      if (names.size <= headerNamesMax) continue;
      throw exceeded('headers', `Routes of the cloud change ${headerNamesMax} different ${direction} headers already`);
    }
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

  /** Many routes lead to the same apps: the proxy is asked once about each. */
  private targetsOnce(): (app: string) => Promise<TargetReport[]> {
    const asked = new Map<string, Promise<TargetReport[]>>();
    return (app) => {
      const targets = asked.get(app) ?? this.traffic.targets(app);
      asked.set(app, targets);
      return targets;
    };
  }

  private async describe(row: RouteEntity, targetsOf = this.targetsOnce()): Promise<Route> {
    const leads = sharesOf(row).map(async ({ app, weight }) => {
      const set = setOf(this.traffic.known, row.project, app);
      const reports = set === undefined ? [] : await targetsOf(set.app);
      return { app, weight, set, reports, ejected: this.traffic.ejected };
    });
    return toRoute(row, routeStatus(row.details ?? {}, await Promise.all(leads), this.traffic.reason));
  }
}

function toRoute(
  { id, project, name, host, path, app, details, version, createdAt, updatedAt }: RouteEntity,
  status: Route['status'],
): Route {
  return {
    id,
    project,
    name,
    host,
    path,
    ...(app !== '' && details?.apps === undefined && { app }),
    ...details,
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

function isSame(row: RouteEntity, { host, path, app, details }: RouteContent): boolean {
  return (
    row.host === host && row.path === path && row.app === app && JSON.stringify(row.details) === JSON.stringify(details)
  );
}

/** A host is one project's; each of its paths one route's. */
function refuseTaken(holders: readonly RouteEntity[], project: string, name: string, content: RouteContent): void {
  const others = holders.filter((holder) => holder.project !== project || holder.name !== name);
  if (others.some((holder) => holder.project !== project || holder.path === content.path)) throw taken(content.host);
}

function headerBytesOf({ details }: Pick<RouteContent, 'details'>): number {
  return details?.headers === undefined ? 0 : Buffer.byteLength(JSON.stringify(details.headers));
}

const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);

function exceeded(field: string | undefined, message: string): AltoError {
  const nextStep = 'Delete routes that are not needed any more, or ask an operator of this cloud.';
  return new AltoError('quota_exceeded', { message, nextStep, ...(field !== undefined && { field }) });
}
