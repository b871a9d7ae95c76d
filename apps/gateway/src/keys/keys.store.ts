import { Injectable } from '@nestjs/common';
import type { ProjectLimits } from '@alto/contracts';
import { Database } from '@alto/platform';
import { type EntityManager, IsNull, MoreThan } from 'typeorm';
import { ProjectEntity } from '../projects/project.entity';
import { limitsOf, QuotaEntity } from '../quotas/quota.entity';
import { KeyEntity } from './key.entity';

/** A key with the name of its project and what that may have, which callers' tokens carry. */
export interface KeyWithProject {
  key: KeyEntity;
  projectName: string | null;
  quotas: ProjectLimits | undefined;
}

export interface KeyUse {
  readonly id: string;
  readonly usedAt: Date;
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
      .leftJoin(QuotaEntity, 'quota', 'quota.project_id = key.project_id')
      .addSelect('project.name', 'project_name')
      .addSelect('quota.limits', 'limits')
      .where('key.id = :id', { id })
      .getRawAndEntities<{ project_name: string | null; limits: ProjectLimits | null }>();
    const [key] = row.entities;
    const [raw] = row.raw;
    return key && { key, projectName: raw?.project_name ?? null, quotas: limitsOf(raw?.limits) };
  }

  /** Locked until the transaction ends, so that changes of one key follow one another, and their events with them. */
  async lock(transaction: EntityManager, projectId: string | null, id: string): Promise<KeyEntity | undefined> {
    const where = { id, projectId: projectId ?? IsNull() };
    return (await transaction.findOne(KeyEntity, { where, lock: { mode: 'pessimistic_write' } })) ?? undefined;
  }

  /** In one order, so that two who lock them wait for each other and do not lock each other out. */
  lockOperators(transaction: EntityManager): Promise<KeyEntity[]> {
    const where = { projectId: IsNull(), revokedAt: IsNull() };
    return transaction.find(KeyEntity, { where, order: { id: 'ASC' }, lock: { mode: 'pessimistic_write' } });
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
  page(projectId: string | null, after: string | undefined, count: number): Promise<KeyEntity[]> {
    return this.database.manager.find(KeyEntity, {
      where: { projectId: projectId ?? IsNull(), ...(after !== undefined && { id: MoreThan(after) }) },
      order: { id: 'ASC' },
      take: count,
    });
  }

  /** Credentials for NATS whose time was not over then, revoked or not: how many there are, in all and of a project. */
  async countSubscribers(projectId: string, now: Date): Promise<{ all: number; ofProject: number }> {
    const { rows } = await this.database.query<{ all: number; of_project: number }>(
      `SELECT count(*)::int AS all, (count(*) FILTER (WHERE project_id = $1))::int AS of_project
       FROM api_keys WHERE kind = 'nats' AND expires_at > $2`,
      [projectId, now],
    );
    return { all: rows[0]?.all ?? 0, ofProject: rows[0]?.of_project ?? 0 };
  }

  /** Public nkeys of those that were revoked before their time, where that was not over then. */
  async revokedSubscribers(since: Date): Promise<{ user: string; expiresAt: Date }[]> {
    const { rows } = await this.database.query<{ nats_user: string; expires_at: Date }>(
      `SELECT nats_user, expires_at FROM api_keys
       WHERE kind = 'nats' AND expires_at > $1 AND revoked_at IS NOT NULL`,
      [since],
    );
    return rows.map((row) => ({ user: row.nats_user, expiresAt: row.expires_at }));
  }

  /** All in one statement. Never moves a time back: several gateways see the same key. */
  async recordUses(uses: readonly KeyUse[]): Promise<void> {
    await this.database.query(
      `UPDATE api_keys SET last_used_at = seen.used_at
       FROM unnest($1::text[], $2::timestamptz[]) AS seen (id, used_at)
       WHERE api_keys.id = seen.id AND (last_used_at IS NULL OR last_used_at < seen.used_at)`,
      [uses.map(({ id }) => id), uses.map(({ usedAt }) => usedAt)],
    );
  }
}
