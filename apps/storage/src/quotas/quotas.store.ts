import { Injectable } from '@nestjs/common';
import { Database, queryIn } from '@alto/platform';
import type { EntityManager } from 'typeorm';

@Injectable()
export class QuotasStore {
  constructor(private readonly db: Database) {}

  /** Until the transaction ends nobody else who asks for this lock counts or adds. */
  async lock(tx: EntityManager, project: string): Promise<void> {
    const query = queryIn(tx);
    await query('INSERT INTO project_quota_locks (project) VALUES ($1) ON CONFLICT DO NOTHING', [project]);
    await query('SELECT project FROM project_quota_locks WHERE project = $1 FOR UPDATE', [project]);
  }

  /** Of all bundles: their contents are stored once for each project. */
  async countBytes(project: string, tx: EntityManager = this.db.manager): Promise<number> {
    const found = await tx.query<{ bytes: string }[]>(
      'SELECT coalesce(sum(size_bytes), 0) AS bytes FROM bundles WHERE project = $1',
      [project],
    );
    return Number(found[0]?.bytes ?? 0);
  }
}
