import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Database } from '@alto/platform';
import { IndexEntity } from './index.entity';

@Injectable()
export class IndexesStore {
  constructor(private readonly db: Database) {}

  exists(project: string, name: string): Promise<boolean> {
    return this.db.manager.existsBy(IndexEntity, { project, name });
  }

  lock(tx: EntityManager, project: string, name: string): Promise<IndexEntity | null> {
    return tx.findOne(IndexEntity, { where: { project, name }, lock: { mode: 'pessimistic_write' } });
  }

  async add(tx: EntityManager, index: IndexEntity): Promise<void> {
    await tx.createQueryBuilder().insert().into(IndexEntity).values(index).orIgnore().execute();
  }

  async advance(tx: EntityManager, { project, name }: IndexEntity, lastVersion: number): Promise<void> {
    await tx.update(IndexEntity, { project, name }, { lastVersion });
  }
}
