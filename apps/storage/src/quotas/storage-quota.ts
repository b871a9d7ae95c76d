import { Injectable } from '@nestjs/common';
import { type CallIdentity, hasQuota, lockProjectQuota, requireQuota } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { QuotasStore } from './quotas.store';

/** Holds uploads to the bytes that their project may have. */
@Injectable()
export class StorageQuota {
  constructor(private readonly store: QuotasStore) {}

  /** Before anything is received, so that nobody sends for nothing what cannot be kept. Decides nothing in the end. */
  async foresee(caller: CallIdentity, project: string, addedBytes: number): Promise<void> {
    if (!hasQuota(caller, ['storageBytes'])) return;
    const before = await this.store.countBytes(project);
    requireQuota(caller, { storageBytes: { before, after: before + addedBytes } });
  }

  /**
   * In the transaction that has added the bundle: uploads to one project that has a limit follow each other from here
   * on. Asked afterwards, so that content which somebody else has just added does not count twice.
   * @throws AltoError quota_exceeded
   */
  async require(tx: EntityManager, caller: CallIdentity, project: string, addedBytes: number): Promise<void> {
    if (!hasQuota(caller, ['storageBytes'])) return;
    await lockProjectQuota(tx, project);
    const after = await this.store.countBytes(project, tx);
    requireQuota(caller, { storageBytes: { before: after - addedBytes, after } });
  }
}
