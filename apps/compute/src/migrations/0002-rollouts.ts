import type { QueryRunner } from 'typeorm';

/** How apps move from revision to revision, and what nodes are asked not to take. */
export class Rollouts0002 {
  readonly name = 'Rollouts0002';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}

/** What a specification of before says by leaving it out. */
const template = `{"secrets": [], "liveness": null, "restart": "always", "constraints": [], "spread": "node"}`;
const policy = `{"strategy": {"kind": "rolling"}, "healthyMs": 10000, "progressDeadlineMs": 600000, "autoRevert": true}`;

const statements = [
  `CREATE TABLE rollout (
    id text PRIMARY KEY,
    app text NOT NULL,
    number integer NOT NULL,
    progress jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT rollout_number UNIQUE (app, number)
  )`,
  'ALTER TABLE app ADD COLUMN rollout text',
  'ALTER TABLE app ADD COLUMN good_revision text',
  'UPDATE app SET good_revision = revision',
  `UPDATE app SET spec = '${policy}'::jsonb || '${template}'::jsonb || spec`,
  `ALTER TABLE revision ADD COLUMN stamp jsonb NOT NULL DEFAULT '{"restart": 0, "secrets": {}}'`,
  `ALTER TABLE revision ADD COLUMN placement jsonb NOT NULL DEFAULT '{"constraints": [], "spread": "node"}'`,
  `UPDATE revision SET template = '${template}'::jsonb || template`,
  'ALTER TABLE instance ADD COLUMN available_at timestamptz',
  `ALTER TABLE node ADD COLUMN labels jsonb NOT NULL DEFAULT '{}'`,
  `ALTER TABLE node ADD COLUMN intake text NOT NULL DEFAULT 'open'`,
];
