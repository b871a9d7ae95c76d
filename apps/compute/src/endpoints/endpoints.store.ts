import { Injectable } from '@nestjs/common';
import { type EntityManager, LessThan, MoreThan } from 'typeorm';
import { EndpointCounterEntity } from './endpoint-counter.entity';
import { EndpointSetEntity } from './endpoint-set.entity';

const counterRow = 1;

@Injectable()
export class EndpointsStore {
  all(manager: EntityManager): Promise<EndpointSetEntity[]> {
    return manager.find(EndpointSetEntity, { where: { deleted: false } });
  }

  changedSince(manager: EntityManager, generation: number, take: number): Promise<EndpointSetEntity[]> {
    return manager.find(EndpointSetEntity, {
      where: { generation: MoreThan(generation) },
      order: { generation: 'ASC' },
      take,
    });
  }

  counter(manager: EntityManager): Promise<EndpointCounterEntity> {
    return manager.findOneByOrFail(EndpointCounterEntity, { id: counterRow });
  }

  /** Locks the one counter until the transaction ends. */
  lockCounter(transaction: EntityManager): Promise<EndpointCounterEntity> {
    return transaction.findOneOrFail(EndpointCounterEntity, {
      where: { id: counterRow },
      lock: { mode: 'pessimistic_write' },
    });
  }

  async saveCounter(transaction: EntityManager, counter: EndpointCounterEntity): Promise<void> {
    const { generation, pruned } = counter;
    await transaction.update(EndpointCounterEntity, { id: counterRow }, { generation, pruned });
  }

  async put(transaction: EntityManager, set: EndpointSetEntity): Promise<void> {
    await transaction.upsert(EndpointSetEntity, set, ['app']);
  }

  /** Newest generation among tombstones older than that; 0 when there is none. */
  async newestTombstoneBefore(transaction: EntityManager, before: Date): Promise<number> {
    const [newest] = await transaction.find(EndpointSetEntity, {
      where: { deleted: true, updatedAt: LessThan(before) },
      order: { generation: 'DESC' },
      take: 1,
    });
    return newest?.generation ?? 0;
  }

  async removeTombstones(transaction: EntityManager, before: Date): Promise<void> {
    await transaction.delete(EndpointSetEntity, { deleted: true, updatedAt: LessThan(before) });
  }
}
