import { Injectable } from '@nestjs/common';
import { type EntityManager, MoreThan } from 'typeorm';
import { AppEntity, type AppOutline, outlineColumns } from './app.entity';

@Injectable()
export class AppsStore {
  find(manager: EntityManager, project: string, name: string): Promise<AppEntity | null> {
    return manager.findOneBy(AppEntity, { project, name });
  }

  /** Locks the app until the transaction ends: every change of it and of its instances' number begins here. */
  lock(transaction: EntityManager, project: string, name: string): Promise<AppEntity | null> {
    return transaction.findOne(AppEntity, { where: { project, name }, lock: { mode: 'pessimistic_write' } });
  }

  lockById(transaction: EntityManager, id: string): Promise<AppEntity | null> {
    return transaction.findOne(AppEntity, { where: { id }, lock: { mode: 'pessimistic_write' } });
  }

  /** Locks the apps of a project whose specification names the secret, in the order of their ids. */
  lockBySecret(transaction: EntityManager, project: string, secret: string): Promise<AppEntity[]> {
    return transaction
      .createQueryBuilder(AppEntity, 'app')
      .where({ project, deleting: false })
      .andWhere("app.spec->'secrets' @> CAST(:names AS jsonb)", { names: JSON.stringify([secret]) })
      .orderBy('app.id')
      .setLock('pessimistic_write')
      .getMany();
  }

  /** Without what is large: the specification. */
  outlines(manager: EntityManager): Promise<AppOutline[]> {
    return manager.find(AppEntity, { select: outlineColumns, order: { id: 'ASC' } });
  }

  page(manager: EntityManager, project: string, after: string | undefined, take: number): Promise<AppEntity[]> {
    const where = { project, ...(after !== undefined && { name: MoreThan(after) }) };
    return manager.find(AppEntity, { where, order: { name: 'ASC' }, take });
  }

  /** @returns false when another call has just created an app of that name */
  async insert(transaction: EntityManager, app: AppEntity): Promise<boolean> {
    const result = await transaction
      .createQueryBuilder()
      .insert()
      .into(AppEntity)
      .values(app)
      .orIgnore()
      .returning('id')
      .execute();
    return (result.raw as unknown[]).length === 1;
  }

  async save(transaction: EntityManager, app: AppEntity): Promise<void> {
    const { id, ...columns } = app;
    await transaction.update(AppEntity, { id }, columns);
  }

  async remove(transaction: EntityManager, id: string): Promise<void> {
    await transaction.delete(AppEntity, { id });
  }
}
