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

  /** Sequences have no gaps and messages stay, so the topics' last ones tell how many messages there are. */
  async countMessages(project: string, tx: EntityManager = this.db.manager): Promise<number> {
    const found = await tx.query<{ messages: string }[]>(
      'SELECT coalesce(sum(last_sequence), 0) AS messages FROM topics WHERE project = $1',
      [project],
    );
    return Number(found[0]?.messages ?? 0);
  }
}
