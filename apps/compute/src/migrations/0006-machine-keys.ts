import type { QueryRunner } from 'typeorm';

/** Which master keys each machine has, and which of them it needs. */
export class MachineKeys0006 {
  readonly name = 'MachineKeys0006';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE node ADD COLUMN master_keys jsonb');
    await runner.query("ALTER TABLE node ADD COLUMN sealed_with jsonb NOT NULL DEFAULT '[]'");
  }
}
