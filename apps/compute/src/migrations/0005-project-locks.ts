import type { QueryRunner } from 'typeorm';

/** What is locked while a project's use is counted against its limits. */
export class ProjectLocks0005 {
  readonly name = 'ProjectLocks0005';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE project_lock (project text PRIMARY KEY)');
  }
}
