import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { ProxyEntity } from './proxy.entity';

@Injectable()
export class ProxiesStore {
  all(manager: EntityManager): Promise<ProxyEntity[]> {
    return manager.find(ProxyEntity, { order: { id: 'ASC' } });
  }

  lock(transaction: EntityManager, id: string): Promise<ProxyEntity | null> {
    return transaction.findOne(ProxyEntity, { where: { id }, lock: { mode: 'pessimistic_write' } });
  }

  async put(transaction: EntityManager, proxy: ProxyEntity): Promise<void> {
    await transaction.upsert(ProxyEntity, proxy, ['id']);
  }

  /** Removes those whose counter has not moved since it was judged. */
  async remove(transaction: EntityManager, judged: ReadonlyMap<string, number>): Promise<void> {
    for (const [id, heartbeats] of judged) await transaction.delete(ProxyEntity, { id, heartbeats });
  }
}
