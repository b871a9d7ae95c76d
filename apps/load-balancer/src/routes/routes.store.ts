import { Injectable } from '@nestjs/common';
import { Database } from '@alto/platform';
import { type EntityManager, IsNull, MoreThan, Not } from 'typeorm';
import type { KnownRoute } from '../traffic/known';
import { RouteSource } from '../traffic/route-source';
import { RouteCounterEntity } from './route-counter.entity';
import { RouteEntity } from './route.entity';

const counterRow = 1;
/** All routes of a cluster are in the memory of every load balancer. */
export const routesMax = 20_000;

@Injectable()
export class RoutesStore extends RouteSource {
  constructor(private readonly database: Database) {
    super();
  }

  /** Grows with every change. @throws AltoError service_unavailable */
  async generation(): Promise<number> {
    const counter = await this.database.manager.findOneByOrFail(RouteCounterEntity, { id: counterRow });
    return counter.generation;
  }

  everything(): Promise<KnownRoute[]> {
    const select = { id: true, project: true, host: true, path: true, app: true, details: true } as const;
    return this.database.manager.find(RouteEntity, { select, order: { id: 'ASC' }, take: routesMax });
  }

  find(manager: EntityManager, project: string, name: string): Promise<RouteEntity | null> {
    return manager.findOneBy(RouteEntity, { project, name });
  }

  /** All routes of one host: they belong to one project, which bounds them. */
  ofHost(manager: EntityManager, host: string): Promise<RouteEntity[]> {
    return manager.find(RouteEntity, { where: { host }, take: routesMax });
  }

  /** Routes of all projects that hold more than the name of an app. */
  withDetails(manager: EntityManager): Promise<RouteEntity[]> {
    return manager.find(RouteEntity, { where: { details: Not(IsNull()) }, take: routesMax });
  }

  count(manager: EntityManager, project?: string): Promise<number> {
    return manager.countBy(RouteEntity, project === undefined ? {} : { project });
  }

  page(manager: EntityManager, project: string, after: string | undefined, take: number): Promise<RouteEntity[]> {
    const where = after === undefined ? { project } : { project, name: MoreThan(after) };
    return manager.find(RouteEntity, { where, order: { name: 'ASC' }, take });
  }

  /** Lets one transaction at a time change routes, and counts the change. */
  async beginChange(transaction: EntityManager): Promise<void> {
    const counter = await transaction.findOneOrFail(RouteCounterEntity, {
      where: { id: counterRow },
      lock: { mode: 'pessimistic_write' },
    });
    await transaction.update(RouteCounterEntity, { id: counterRow }, { generation: counter.generation + 1 });
  }

  async put(transaction: EntityManager, route: RouteEntity): Promise<void> {
    await transaction.upsert(RouteEntity, route, ['id']);
  }

  async remove(transaction: EntityManager, id: string): Promise<void> {
    await transaction.delete(RouteEntity, { id });
  }
}
