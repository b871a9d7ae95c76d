import type { QueryRunner } from 'typeorm';

/** Where instances are reached at ports beside `http`. */
export class Ports0010 {
  readonly name = 'Ports0010';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE instance ADD COLUMN ports jsonb NOT NULL DEFAULT '{}'`);
  }
}
