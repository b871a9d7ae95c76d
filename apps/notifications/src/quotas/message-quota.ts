import { Injectable } from '@nestjs/common';
import { type CallIdentity, hasQuota, lockProjectQuota, requireQuota } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { QuotasStore } from './quotas.store';

/** Holds a project to the messages that it may have. */
@Injectable()
export class MessageQuota {
  constructor(private readonly store: QuotasStore) {}

  /** Before any topic is locked: in a project that has a limit, all that publish follow each other from here on. */
  async lock(tx: EntityManager, caller: CallIdentity, project: string): Promise<void> {
    if (hasQuota(caller, ['messages'])) await lockProjectQuota(tx, project);
  }

  /** @throws AltoError quota_exceeded when there is no room for one more */
  async requireRoom(tx: EntityManager, caller: CallIdentity, project: string): Promise<void> {
    if (!hasQuota(caller, ['messages'])) return;
    const before = await this.store.countMessages(project, tx);
    requireQuota(caller, { messages: { before, after: before + 1 } });
  }
}
