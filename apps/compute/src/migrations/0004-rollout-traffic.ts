import type { QueryRunner } from 'typeorm';

/** How instances answer while their app is rolled out. */
export class RolloutTraffic0004 {
  readonly name = 'RolloutTraffic0004';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}

/** What a canary of before says by leaving it out. */
const checks = '{"errorRatePercentMax": 1, "requestsMin": 20}';

const statements = [
  `CREATE TABLE rollout_traffic (
    rollout text NOT NULL,
    instance text NOT NULL,
    proxy text NOT NULL,
    revision text NOT NULL,
    requests bigint NOT NULL,
    failures bigint NOT NULL,
    reported_requests bigint NOT NULL,
    reported_failures bigint NOT NULL,
    PRIMARY KEY (rollout, instance, proxy)
  )`,
  `UPDATE app SET spec = jsonb_set(spec, '{strategy,checks}', '${checks}') WHERE spec->'strategy'->>'kind' = 'canary'`,
];
