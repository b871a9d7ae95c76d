import { Injectable } from '@nestjs/common';
import { auditResults, earliestId } from '@alto/contracts';
import { Database, queryIn } from '@alto/platform';
import type { AuditEntry, AuditResult } from './audit-entry';

export interface AuditFilter {
  /** Undefined for the whole cluster. */
  readonly project?: string | undefined;
  readonly key?: string | undefined;
  readonly operation?: string | undefined;
  readonly resource?: string | undefined;
  readonly result?: (typeof auditResults)[number] | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

export interface AuditPage {
  readonly filter: AuditFilter;
  readonly order: 'newest' | 'oldest';
  /** Id of the last entry of the page before. */
  readonly after: string | undefined;
  readonly count: number;
  /** An entry of this time or later that has no result is still being worked on. */
  readonly pendingSince: Date;
}

export type AuditRow = Omit<AuditEntry, 'at'> & {
  readonly at: Date;
  readonly status: number | null;
  readonly code: string | null;
  readonly after: unknown;
};

const insertEntries = `
  INSERT INTO audit_entries SELECT * FROM jsonb_to_recordset($1::jsonb) AS entry (
    id text, at timestamptz, project_id text, key_id text, key_name text, role text, operation text, resource text,
    address text, request_id text, trace_id text, attempts integer, before jsonb)`;

/** A row that is there already was written by an attempt whose answer was lost. */
const insertResults = `
  INSERT INTO audit_results SELECT * FROM jsonb_to_recordset($1::jsonb) AS result (
    entry_id text, at timestamptz, status integer, code text, after jsonb) ON CONFLICT DO NOTHING`;

/** The one place that reads and writes the audit log; nothing in it is ever changed. */
@Injectable()
export class AuditStore {
  constructor(private readonly database: Database) {}

  async insertEntries(entries: readonly AuditEntry[]): Promise<void> {
    await this.database.query(insertEntries, [JSON.stringify(entries)]);
  }

  async insertResults(results: readonly AuditResult[]): Promise<void> {
    await this.database.query(insertResults, [JSON.stringify(results)]);
  }

  /** Both at once, for what was refused before it was passed on. */
  async insertRefused(entries: readonly AuditEntry[], results: readonly AuditResult[]): Promise<void> {
    await this.database.transaction(async (transaction) => {
      const query = queryIn(transaction);
      await query(insertEntries, [JSON.stringify(entries)]);
      await query(insertResults, [JSON.stringify(results)]);
    });
  }

  async page(page: AuditPage): Promise<AuditRow[]> {
    const { text, parameters } = selectPage(page);
    const { rows } = await this.database.query<AuditRow>(text, parameters);
    return rows;
  }

  /** @returns how many entries were older */
  async deleteBefore(time: Date, countMax: number): Promise<number> {
    return this.database.transaction(async (transaction) => {
      const query = queryIn(transaction);
      await query("SELECT set_config('alto.audit_retention', 'over', true)");
      const { rows } = await query<{ id: string }>('SELECT id FROM audit_entries WHERE id < $1 ORDER BY id LIMIT $2', [
        earliestId('audit', time.getTime()),
        countMax,
      ]);
      const ids = rows.map(({ id }) => id);
      await query('DELETE FROM audit_results WHERE entry_id = ANY($1::text[])', [ids]);
      const { affected } = await query('DELETE FROM audit_entries WHERE id = ANY($1::text[])', [ids]);
      return affected;
    });
  }
}

/** Ids sort by time, so a stretch of time is a stretch of the index. Pure. */
export function selectPage({ filter, order, after, count, pendingSince }: AuditPage): {
  text: string;
  parameters: unknown[];
} {
  const parameters: unknown[] = [];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const conditions = [
    filter.project !== undefined && `project_id = ${bind(filter.project)}`,
    filter.key !== undefined && `key_id = ${bind(filter.key)}`,
    filter.operation !== undefined && `operation = ${bind(filter.operation)}`,
    filter.resource !== undefined &&
      `(resource = ${bind(filter.resource)} OR starts_with(resource, ${bind(`${filter.resource}/`)}))`,
    filter.since !== undefined && `id >= ${bind(earliestId('audit', Date.parse(filter.since)))}`,
    filter.until !== undefined && `id < ${bind(earliestId('audit', Date.parse(filter.until)))}`,
    after !== undefined && `id ${order === 'newest' ? '<' : '>'} ${bind(after)}`,
    filter.result !== undefined && resultIs(filter.result, () => bind(earliestId('audit', pendingSince.getTime()))),
  ].filter((condition) => condition !== false);
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const text = `
    SELECT entry.*, status, code, after FROM audit_entries AS entry
    LEFT JOIN audit_results ON entry_id = id ${where}
    ORDER BY id ${order === 'newest' ? 'DESC' : 'ASC'} LIMIT ${bind(count)}`;
  return { text, parameters };
}

/** The same as `resultOf` of audit-log.service.ts, in SQL. */
function resultIs(result: (typeof auditResults)[number], pendingFrom: () => string): string {
  switch (result) {
    case 'done':
      return 'status < 400';
    case 'refused':
      return 'status BETWEEN 400 AND 499';
    case 'failed':
      return "status >= 500 AND code IS DISTINCT FROM 'timeout'";
    case 'unknown':
      return `(code = 'timeout' OR (status IS NULL AND id < ${pendingFrom()}))`;
    case 'pending':
      return `status IS NULL AND id >= ${pendingFrom()}`;
  }
}
