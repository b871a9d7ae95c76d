import { Injectable } from '@nestjs/common';
import { Database } from '@alto/platform';
import { type EntityManager, MoreThan } from 'typeorm';
import { ProjectEntity } from '../projects/project.entity';
import { KeyEntity } from './key.entity';

/** A key with the name of its project, which callers' tokens carry. */
export interface KeyWithProject {
  key: KeyEntity;
  projectName: string | null;
}

@Injectable()
export class KeysStore {
  constructor(private readonly database: Database) {}

  async insert(transaction: EntityManager, key: KeyEntity): Promise<void> {
    await transaction.insert(KeyEntity, key);
  }

  async find(id: string): Promise<KeyWithProject | undefined> {
    const row = await this.database.manager
      .createQueryBuilder(KeyEntity, 'key')
      .leftJoin(ProjectEntity, 'project', 'project.id = key.project_id')
      .addSelect('project.name', 'project_name')
      .where('key.id = :id', { id })
      .getRawAndEntities<{ project_name: string | null }>();
    const [key] = row.entities;
    return key && { key, projectName: row.raw[0]?.project_name ?? null };
  }

  /** Locked until the transaction ends, so that changes of one key follow one another, and their events with them. */
  async lock(transaction: EntityManager, projectId: string, id: string): Promise<KeyEntity | undefined> {
    const options = { where: { id, projectId }, lock: { mode: 'pessimistic_write' } } as const;
    return (await transaction.findOne(KeyEntity, options)) ?? undefined;
  }

  /** @returns whether it was absent. Two who insert the same key at once both succeed, and one of them gets true. */
  async insertIfAbsent(transaction: EntityManager, key: KeyEntity): Promise<boolean> {
    const { raw } = await transaction
      .createQueryBuilder()
      .insert()
      .into(KeyEntity)
      .values(key)
      .orIgnore()
      .returning('id')
      .execute();
    return (raw as unknown[]).length > 0;
  }

  async save(transaction: EntityManager, key: KeyEntity): Promise<void> {
    const { id, ...columns } = key;
    await transaction.update(KeyEntity, { id }, columns);
  }

  /** In order of creation. */
  page(projectId: string, after: string | undefined, count: number): Promise<KeyEntity[]> {
    return this.database.manager.find(KeyEntity, {
      where: { projectId, ...(after !== undefined && { id: MoreThan(after) }) },
      order: { id: 'ASC' },
      take: count,
    });
  }

  /** Never moves a time back: several gateways see the same key. */
  async recordUse(id: string, usedAt: Date): Promise<void> {
    await this.database.manager
      .createQueryBuilder()
      .update(KeyEntity)
      .set({ lastUsedAt: usedAt })
      .where('id = :id AND (last_used_at IS NULL OR last_used_at < :usedAt)', { id, usedAt })
      .execute();
  }
}
