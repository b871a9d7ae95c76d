import { Injectable } from '@nestjs/common';
import { LessThan, type EntityManager } from 'typeorm';
import { Database } from '@alto/platform';
import { BundleEntity } from './bundle.entity';

@Injectable()
export class BundlesStore {
  constructor(private readonly db: Database) {}

  find(project: string, id: string): Promise<BundleEntity | null> {
    return this.db.manager.findOneBy(BundleEntity, { project, id });
  }

  findByContent(project: string, sha256: string): Promise<BundleEntity | null> {
    return this.db.manager.findOneBy(BundleEntity, { project, sha256 });
  }

  /** Newest first. @param before id of the last bundle of the page before */
  list(project: string, limit: number, before?: string): Promise<BundleEntity[]> {
    return this.db.manager.find(BundleEntity, {
      where: { project, ...(before !== undefined && { id: LessThan(before) }) },
      order: { id: 'DESC' },
      take: limit,
    });
  }

  /** The bundle of this content, locked until the transaction ends. */
  lockByContent(tx: EntityManager, project: string, sha256: string): Promise<BundleEntity> {
    return tx.findOneOrFail(BundleEntity, { where: { project, sha256 }, lock: { mode: 'pessimistic_write' } });
  }

  /** @returns false when the project got a bundle of this content in the meantime */
  async insert(tx: EntityManager, bundle: BundleEntity): Promise<boolean> {
    const result = await tx
      .createQueryBuilder()
      .insert()
      .into(BundleEntity)
      .values(bundle)
      .orIgnore()
      .returning('id')
      .execute();
    return (result.raw as unknown[]).length === 1;
  }

  async pointTo(tx: EntityManager, id: string, blob: string): Promise<void> {
    await tx.update(BundleEntity, { id }, { blob });
  }
}
