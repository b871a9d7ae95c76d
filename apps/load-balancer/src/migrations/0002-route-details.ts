import type { QueryRunner } from 'typeorm';

/** Several routes of one project may share a host and lead its paths to different apps. */
export class LoadBalancer0002RouteDetails {
  readonly name = 'LoadBalancer0002RouteDetails';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }
}

const statements = [
  `ALTER TABLE route ADD COLUMN path text NOT NULL DEFAULT '/'`,
  `ALTER TABLE route ADD COLUMN details json`,
  `ALTER TABLE route ADD CONSTRAINT route_host_path UNIQUE (host, path)`,
  `ALTER TABLE route DROP CONSTRAINT route_host`,
];
