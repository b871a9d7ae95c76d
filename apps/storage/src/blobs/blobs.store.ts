import { Injectable } from '@nestjs/common';
import { In, type EntityManager } from 'typeorm';
import { AltoError } from '@alto/contracts';
import { Database } from '@alto/platform';
import type { WrittenContent } from './blob-files';
import { BlobEntity } from './blob.entity';
import { transition, type BlobChange, type BlobState } from './blob.state';

export interface BlobIntent {
  readonly id: string;
  readonly project: string;
  readonly volume: string;
  readonly leaseExpiresAt: Date;
  readonly createdAt: Date;
}

/** A blob that is found dead is handled in batches of this size. */
const batchSize = 200;

@Injectable()
export class BlobsStore {
  constructor(private readonly db: Database) {}

  async insertIntent(intent: BlobIntent): Promise<void> {
    await this.db.manager.insert(BlobEntity, { ...intent, state: 'intent', contentBytes: null, sha256: null });
  }

  /** @returns false when the blob is no intent any more: its writer must stop. */
  async renewIntent(id: string, leaseExpiresAt: Date): Promise<boolean> {
    const { affected } = await this.db.manager.update(BlobEntity, { id, state: 'intent' }, { leaseExpiresAt });
    return affected === 1;
  }

  /** Makes an intent live. @throws AltoError `service_unavailable` when the sweeper took it for dead. */
  async commit(tx: EntityManager, id: string, { contentBytes, sha256 }: WrittenContent): Promise<void> {
    const blob = await this.lock(tx, id);
    if (blob === null || transition(blob.state, 'commit') !== 'live') {
      throw new AltoError('service_unavailable', {
        message: 'The upload took so long to be recorded that it was given up.',
        nextStep: 'Send it again.',
      });
    }
    await tx.update(BlobEntity, { id }, { state: 'live', contentBytes, sha256 });
  }

  /** Condemns an intent unless it has become live meanwhile. @returns the state after; undefined without a row */
  giveUp(id: string): Promise<BlobState | undefined> {
    return this.db.transaction((tx) => this.change(tx, id, 'give up'));
  }

  async replace(tx: EntityManager, id: string): Promise<void> {
    await this.change(tx, id, 'replace');
  }

  /** Condemns intents whose lease has run out. A writer that is committing one right now is left alone. */
  async condemnExpired(tx: EntityManager, volume: string, now: Date): Promise<number> {
    const expired = await tx
      .createQueryBuilder(BlobEntity, 'blob')
      .where("blob.volume = :volume AND blob.state = 'intent' AND blob.leaseExpiresAt < :now", { volume, now })
      .orderBy('blob.id')
      .limit(batchSize)
      .setLock('pessimistic_write')
      .setOnLocked('skip_locked')
      .getMany();
    for (const blob of expired) blob.state = transition(blob.state, 'expire') ?? blob.state;
    await tx.save(expired);
    return expired.length;
  }

  async condemned(volume: string): Promise<string[]> {
    const rows = await this.db.manager.find(BlobEntity, {
      select: { id: true },
      where: { volume, state: 'condemned' },
      order: { id: 'ASC' },
      take: batchSize,
    });
    return rows.map(({ id }) => id);
  }

  /** Forgets condemned blobs; their files must be gone. */
  async forget(tx: EntityManager, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await tx.delete(BlobEntity, { id: In(ids), state: 'condemned' });
  }

  /** State of each of `ids` that has a row. */
  async statesOf(ids: readonly string[]): Promise<Map<string, BlobState>> {
    const rows = await this.db.manager.find(BlobEntity, { select: { id: true, state: true }, where: { id: In(ids) } });
    return new Map(rows.map(({ id, state }) => [id, state]));
  }

  async volumeOf(id: string): Promise<string | undefined> {
    const blob = await this.db.manager.findOneBy(BlobEntity, { id });
    return blob?.volume;
  }

  private async change(tx: EntityManager, id: string, change: BlobChange): Promise<BlobState | undefined> {
    const blob = await this.lock(tx, id);
    if (blob === null) return undefined;
    const next = transition(blob.state, change);
    if (next === undefined) return blob.state;
    await tx.update(BlobEntity, { id }, { state: next });
    return next;
  }

  private lock(tx: EntityManager, id: string): Promise<BlobEntity | null> {
    return tx.findOne(BlobEntity, { where: { id }, lock: { mode: 'pessimistic_write' } });
  }
}
