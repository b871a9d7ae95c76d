import type { QueryRunner } from 'typeorm';

/** Where the logs of instances are that have ended. */
export class EndedInstances0008 {
  readonly name = 'EndedInstances0008';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TABLE ended_instance (
      id text PRIMARY KEY,
      app text NOT NULL,
      node text NOT NULL,
      ended_at timestamptz NOT NULL
    )`);
    await runner.query('CREATE INDEX ended_instance_app ON ended_instance (app, ended_at, id)');
  }
}
