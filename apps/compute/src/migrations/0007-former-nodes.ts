import type { QueryRunner } from 'typeorm';

/** Where the counts of deleted nodes stood: one that comes back after all counts on from there. */
export class FormerNodes0007 {
  readonly name = 'FormerNodes0007';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TABLE former_node (
      id text PRIMARY KEY,
      generation bigint NOT NULL,
      fencing bigint NOT NULL,
      version integer NOT NULL
    )`);
  }
}
