import { Injectable } from '@nestjs/common';
import { type EntityManager, In, MoreThan, Not, IsNull } from 'typeorm';
import { InstanceEntity } from './instance.entity';

@Injectable()
export class InstancesStore {
  all(manager: EntityManager): Promise<InstanceEntity[]> {
    return manager.find(InstanceEntity, { order: { id: 'ASC' } });
  }

  page(manager: EntityManager, app: string, after: string | undefined, take: number): Promise<InstanceEntity[]> {
    const where = { app, ...(after !== undefined && { id: MoreThan(after) }) };
    return manager.find(InstanceEntity, { where, order: { id: 'ASC' }, take });
  }

  onNode(manager: EntityManager, node: string): Promise<InstanceEntity[]> {
    return manager.find(InstanceEntity, { where: { node }, order: { id: 'ASC' } });
  }

  /** Locks them in the order of their ids, as every writer does. */
  lockOnNode(transaction: EntityManager, node: string, ids: readonly string[]): Promise<InstanceEntity[]> {
    if (ids.length === 0) return Promise.resolve([]);
    const where = { node, id: In([...ids]) };
    return transaction.find(InstanceEntity, { where, order: { id: 'ASC' }, lock: { mode: 'pessimistic_write' } });
  }

  lock(transaction: EntityManager, ids: readonly string[]): Promise<InstanceEntity[]> {
    if (ids.length === 0) return Promise.resolve([]);
    const where = { id: In([...ids]) };
    return transaction.find(InstanceEntity, { where, order: { id: 'ASC' }, lock: { mode: 'pessimistic_write' } });
  }

  placed(manager: EntityManager, app: string, take: number): Promise<InstanceEntity[]> {
    return manager.find(InstanceEntity, { where: { app, node: Not(IsNull()) }, order: { id: 'ASC' }, take });
  }

  /** Of that app alone: an id leads nowhere from another project. */
  placedOne(manager: EntityManager, app: string, id: string): Promise<InstanceEntity | null> {
    return manager.findOneBy(InstanceEntity, { app, id, node: Not(IsNull()) });
  }

  async nodeOf(manager: EntityManager, id: string): Promise<string | null> {
    const row = await manager.findOne(InstanceEntity, { select: { id: true, node: true }, where: { id } });
    return row?.node ?? null;
  }

  async revisionsInUse(manager: EntityManager, app: string): Promise<Set<string>> {
    const rows = await manager
      .createQueryBuilder(InstanceEntity, 'instance')
      .select('DISTINCT instance.revision', 'revision')
      .where({ app })
      .getRawMany<{ revision: string }>();
    return new Set(rows.map(({ revision }) => revision));
  }

  async usage(manager: EntityManager, nodes: readonly string[]): Promise<InstanceUsage[]> {
    if (nodes.length === 0) return [];
    return manager
      .createQueryBuilder(InstanceEntity, 'instance')
      .select('instance.node', 'node')
      .addSelect('instance.revision', 'revision')
      .addSelect('count(*)::integer', 'count')
      .where({ node: In([...nodes]) })
      .groupBy('instance.node')
      .addGroupBy('instance.revision')
      .getRawMany<InstanceUsage>();
  }

  async insert(transaction: EntityManager, instances: readonly InstanceEntity[]): Promise<void> {
    if (instances.length > 0) await transaction.insert(InstanceEntity, [...instances]);
  }

  async save(transaction: EntityManager, instance: InstanceEntity): Promise<void> {
    const { id, ...columns } = instance;
    await transaction.update(InstanceEntity, { id }, columns);
  }

  async remove(transaction: EntityManager, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await transaction.delete(InstanceEntity, { id: In([...ids]) });
  }
}

export interface InstanceUsage {
  readonly node: string;
  readonly revision: string;
  readonly count: number;
}
