import { Injectable } from '@nestjs/common';
import { type EntityManager, In, MoreThan } from 'typeorm';
import { FormerNodeEntity } from './former-node.entity';
import { NodeEntity } from './node.entity';

@Injectable()
export class NodesStore {
  all(manager: EntityManager): Promise<NodeEntity[]> {
    return manager.find(NodeEntity, { order: { id: 'ASC' } });
  }

  page(manager: EntityManager, after: string | undefined, take: number): Promise<NodeEntity[]> {
    const where = after === undefined ? {} : { id: MoreThan(after) };
    return manager.find(NodeEntity, { where, order: { id: 'ASC' }, take });
  }

  /** By id or name; the one that joined first where names are alike. */
  lockNamed(transaction: EntityManager, idOrName: string): Promise<NodeEntity | null> {
    return transaction.findOne(NodeEntity, {
      where: [{ id: idOrName }, { name: idOrName }],
      order: { createdAt: 'ASC', id: 'ASC' },
      lock: { mode: 'pessimistic_write' },
    });
  }

  /** All of that id or name, in the order of their ids, as they are locked by everyone. */
  lockAllNamed(transaction: EntityManager, idOrName: string): Promise<NodeEntity[]> {
    return transaction.find(NodeEntity, {
      where: [{ id: idOrName }, { name: idOrName }],
      order: { id: 'ASC' },
      lock: { mode: 'pessimistic_write' },
    });
  }

  lock(transaction: EntityManager, id: string): Promise<NodeEntity | null> {
    return transaction.findOne(NodeEntity, { where: { id }, lock: { mode: 'pessimistic_write' } });
  }

  /** Locks them in the order of their ids. */
  lockAll(transaction: EntityManager, ids: readonly string[]): Promise<NodeEntity[]> {
    if (ids.length === 0) return Promise.resolve([]);
    return transaction.find(NodeEntity, {
      where: { id: In([...ids]) },
      order: { id: 'ASC' },
      lock: { mode: 'pessimistic_write' },
    });
  }

  /** Leaves a node alone that another report has just created. */
  async insert(transaction: EntityManager, node: NodeEntity): Promise<void> {
    await transaction.createQueryBuilder().insert().into(NodeEntity).values(node).orIgnore().execute();
  }

  async save(transaction: EntityManager, node: NodeEntity): Promise<void> {
    const { id, ...columns } = node;
    await transaction.update(NodeEntity, { id }, columns);
  }

  /** Keeps of it what it counts on from when it comes back. */
  async remove(transaction: EntityManager, { id, generation, fencing, version }: NodeEntity): Promise<void> {
    await transaction.delete(NodeEntity, { id });
    await transaction.upsert(FormerNodeEntity, { id, generation, fencing, version }, ['id']);
  }

  former(manager: EntityManager, id: string): Promise<FormerNodeEntity | null> {
    return manager.findOneBy(FormerNodeEntity, { id });
  }

  async forgetFormer(transaction: EntityManager, id: string): Promise<void> {
    await transaction.delete(FormerNodeEntity, { id });
  }
}
