import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Two rows for each change: one before it is passed on, one when it is answered. Neither is ever changed. */
const up = [
  `CREATE TABLE audit_entries (
     id text COLLATE "C" PRIMARY KEY,
     at timestamptz NOT NULL,
     project_id text,
     key_id text,
     key_name text,
     role text,
     operation text NOT NULL,
     resource text NOT NULL,
     address text NOT NULL,
     request_id text NOT NULL,
     trace_id text NOT NULL,
     attempts integer NOT NULL,
     before jsonb
   )`,
  'CREATE INDEX audit_entries_of_project ON audit_entries (project_id, id)',
  'CREATE INDEX audit_entries_of_key ON audit_entries (key_id, id)',
  `CREATE TABLE audit_results (
     entry_id text COLLATE "C" PRIMARY KEY,
     at timestamptz NOT NULL,
     status integer NOT NULL,
     code text,
     after jsonb
   )`,
  `CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     IF TG_OP = 'DELETE' AND current_setting('alto.audit_retention', true) = 'over' THEN
       RETURN OLD;
     END IF;
     RAISE EXCEPTION 'The audit log is only ever added to';
   END $$`,
  ...['audit_entries', 'audit_results'].flatMap((table) => [
    `CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ${table}
     FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit()`,
    `CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ${table}
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()`,
  ]),
];

export class Audit1764000000003 implements MigrationInterface {
  readonly name = 'Audit1764000000003';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of up) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['audit_results', 'audit_entries']) await runner.query(`DROP TABLE ${table}`);
    await runner.query('DROP FUNCTION refuse_change_of_audit');
  }
}
