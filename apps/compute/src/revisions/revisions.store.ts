import { Injectable } from '@nestjs/common';
import { type EntityManager, In, LessThan } from 'typeorm';
import { RevisionEntity } from './revision.entity';

@Injectable()
export class RevisionsStore {
  byHash(transaction: EntityManager, app: string, hash: string): Promise<RevisionEntity | null> {
    return transaction.findOneBy(RevisionEntity, { app, hash });
  }

  byNumber(manager: EntityManager, app: string, number: number): Promise<RevisionEntity | null> {
    return manager.findOneBy(RevisionEntity, { app, number });
  }

  byIds(manager: EntityManager, ids: readonly string[]): Promise<RevisionEntity[]> {
    return ids.length === 0 ? Promise.resolve([]) : manager.findBy(RevisionEntity, { id: In([...ids]) });
  }

  /** Without what is large: the content. */
  needsOf(manager: EntityManager, ids: readonly string[]): Promise<RevisionNeeds[]> {
    const select = {
      id: true,
      number: true,
      cpuMillis: true,
      memoryBytes: true,
      setBytes: true,
      placement: true,
    } as const;
    return ids.length === 0
      ? Promise.resolve([])
      : manager.find(RevisionEntity, { select, where: { id: In([...ids]) } });
  }

  /** Newest first. */
  page(manager: EntityManager, app: string, below: number | undefined, take: number): Promise<RevisionEntity[]> {
    const where = { app, ...(below !== undefined && { number: LessThan(below) }) };
    return manager.find(RevisionEntity, { where, order: { number: 'DESC' }, take });
  }

  async insert(transaction: EntityManager, revision: RevisionEntity): Promise<void> {
    await transaction.insert(RevisionEntity, revision);
  }

  async remove(transaction: EntityManager, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await transaction.delete(RevisionEntity, { id: In([...ids]) });
  }

  async removeAllOf(transaction: EntityManager, app: string): Promise<void> {
    await transaction.delete(RevisionEntity, { app });
  }
}

/** What planning wants to know of a revision. */
export type RevisionNeeds = Pick<
  RevisionEntity,
  'id' | 'number' | 'cpuMillis' | 'memoryBytes' | 'setBytes' | 'placement'
>;
