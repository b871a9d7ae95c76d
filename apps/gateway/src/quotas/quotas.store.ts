import { Injectable } from '@nestjs/common';
import { Database, queryIn } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { QuotaEntity } from './quota.entity';

@Injectable()
export class QuotasStore {
  constructor(private readonly database: Database) {}

  async find(projectId: string): Promise<QuotaEntity | undefined> {
    return (await this.database.manager.findOneBy(QuotaEntity, { projectId })) ?? undefined;
  }

  /** Locks the project, since there may be no row of its quotas yet. @returns false for an unknown project */
  async lockProject(transaction: EntityManager, projectId: string): Promise<boolean> {
    const { rows } = await queryIn(transaction)('SELECT id FROM projects WHERE id = $1 FOR UPDATE', [projectId]);
    return rows.length === 1;
  }

  async findIn(transaction: EntityManager, projectId: string): Promise<QuotaEntity | undefined> {
    return (await transaction.findOneBy(QuotaEntity, { projectId })) ?? undefined;
  }

  async save(transaction: EntityManager, quota: QuotaEntity): Promise<void> {
    await transaction.upsert(QuotaEntity, quota, ['projectId']);
  }
}
