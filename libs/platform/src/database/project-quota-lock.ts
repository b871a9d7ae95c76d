import type { EntityManager } from 'typeorm';
import { queryIn } from './rows';

/**
 * Until the transaction ends nobody else who asks for this lock counts what the project has, or adds to it. The row is
 * in the table `project_quota_locks (project text PRIMARY KEY)`, which a migration of the service makes.
 */
export async function lockProjectQuota(transaction: EntityManager, project: string): Promise<void> {
  const query = queryIn(transaction);
  await query('INSERT INTO project_quota_locks (project) VALUES ($1) ON CONFLICT DO NOTHING', [project]);
  await query('SELECT project FROM project_quota_locks WHERE project = $1 FOR UPDATE', [project]);
}
