import type { Migration } from '@alto/platform';
import type { QueryRunner } from 'typeorm';

/** Locked while a project's use is counted and added to. */
export class Quotas implements Migration {
  readonly name = 'Notifications0002Quotas';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE project_quota_locks (project text PRIMARY KEY)');
  }
}
