import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AltoError } from '@alto/contracts';
import { Clock } from '@alto/platform';
import type { IndexEntity } from './index.entity';
import { IndexesStore } from './indexes.store';

/**
 * An index is made with its first document. Its row is locked by every change within it: so the versions of a
 * document, and with them the order of its events, go on growing even when it is deleted and comes back.
 */
@Injectable()
export class IndexesService {
  constructor(
    private readonly store: IndexesStore,
    private readonly clock: Clock,
  ) {}

  /** @throws AltoError `not_found` also for an index of another project */
  async check(project: string, name: string): Promise<void> {
    if (await this.store.exists(project, name)) return;
    throw new AltoError('not_found', {
      message: `There is no index ${name}.`,
      field: 'index',
      nextStep: 'Put a document into it: that makes it.',
    });
  }

  /** Locks the index until the transaction ends; undefined when there is none. */
  async lock(tx: EntityManager, project: string, name: string): Promise<IndexEntity | undefined> {
    return (await this.store.lock(tx, project, name)) ?? undefined;
  }

  async lockOrAdd(tx: EntityManager, project: string, name: string): Promise<IndexEntity> {
    const present = await this.store.lock(tx, project, name);
    if (present !== null) return present;
    await this.store.add(tx, { project, name, lastVersion: 0, createdAt: this.clock.now() });
    return (await this.store.lock(tx, project, name))!;
  }

  /** Version of the next change in a locked index. */
  async nextVersion(tx: EntityManager, index: IndexEntity): Promise<number> {
    const version = index.lastVersion + 1;
    await this.store.advance(tx, index, version);
    return version;
  }
}
