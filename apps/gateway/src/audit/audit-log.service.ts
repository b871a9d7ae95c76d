import { once } from 'node:events';
import { Injectable } from '@nestjs/common';
import { type AuditRecord, type auditResults, gatewayOperations, invalidRequest } from '@alto/contracts';
import { Clock, safeHeaders } from '@alto/platform';
import { decodeCursor, pageFrom } from '../http/cursor';
import type { Exchange } from '../http/exchange';
import { buildInput } from '../http/input';
import { type AuditFilter, type AuditRow, AuditStore } from './audit.store';

/** A change that has no answer after it has none to come: its gateway is gone. */
const pendingMs = 60_000;
const exportPage = 500;

interface ListRequest extends AuditFilter {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Shows the audit log. */
@Injectable()
export class AuditLog {
  constructor(
    private readonly store: AuditStore,
    private readonly clock: Clock,
  ) {}

  /** Newest first. */
  async list({ limit, cursor, ...filter }: ListRequest): Promise<{ items: AuditRecord[]; nextCursor?: string }> {
    const list = `audit:${filter.project ?? ''}`;
    const after = decodeCursor(list, cursor);
    const pendingSince = this.pendingSince();
    const rows = await this.store.page({ filter, order: 'newest', after, count: limit + 1, pendingSince });
    return pageFrom(
      list,
      rows,
      limit,
      (row) => row.id,
      (row) => toRecord(row, pendingSince),
    );
  }

  /** Streams entries to the client, oldest first; its pace is the reader's, and memory holds one page at a time. */
  async export({ operation, path, query, request, reply }: Exchange): Promise<void> {
    const filter = filterOf(operation.name, buildInput(operation, { path, query }));
    const response = reply.raw;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    let page = await this.pageOf(filter, undefined);
    response.writeHead(200, {
      ...safeHeaders,
      'cache-control': 'no-store',
      'content-type': 'application/x-ndjson',
      'content-disposition': 'attachment; filename="audit.ndjson"',
    });
    if (request.method === 'HEAD') return void response.end();
    try {
      while (page.length > 0 && !gone.signal.aborted) {
        if (!response.write(page.map((entry) => `${JSON.stringify(entry)}\n`).join('')))
          await once(response, 'drain', { signal: gone.signal });
        page = page.length < exportPage ? [] : await this.pageOf(filter, page.at(-1)?.id);
      }
      response.end();
    } catch {
      // The head is sent, so all that can be said is that the log is not whole.
      response.destroy();
    }
  }

  private async pageOf(filter: AuditFilter, after: string | undefined): Promise<AuditRecord[]> {
    const pendingSince = this.pendingSince();
    const rows = await this.store.page({ filter, order: 'oldest', after, count: exportPage, pendingSince });
    return rows.map((row) => toRecord(row, pendingSince));
  }

  private pendingSince(): Date {
    return new Date(this.clock.nowMs() - pendingMs);
  }
}

/** Streams have no handler that validates their input. @throws AltoError invalid_request */
function filterOf(operation: string, input: Record<string, unknown>): AuditFilter {
  const { export: ofProject, exportAll: ofCluster } = gatewayOperations.audit;
  const schema = operation === ofProject.name ? ofProject.input : ofCluster.input;
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw invalidRequest(parsed.error);
  return parsed.data;
}

function toRecord(row: AuditRow, pendingSince: Date): AuditRecord {
  const { id, project_id, key_id, key_name, role, request_id, trace_id } = row;
  return {
    id,
    at: row.at.toISOString(),
    project: project_id,
    key: key_id === null ? null : { id: key_id, name: key_name ?? '', role: role ?? '' },
    operation: row.operation,
    resource: row.resource,
    address: row.address,
    requestId: request_id,
    traceId: trace_id,
    result: resultOf(row, pendingSince),
    status: row.status,
    code: row.code,
    attempts: row.attempts,
    before: row.before,
    after: row.after,
  };
}

/** The same as `resultIs` of audit.store.ts. A service that did not answer in time may have made the change. */
function resultOf({ at, status, code }: AuditRow, pendingSince: Date): (typeof auditResults)[number] {
  if (status === null) return at >= pendingSince ? 'pending' : 'unknown';
  if (code === 'timeout') return 'unknown';
  if (status < 400) return 'done';
  return status < 500 ? 'refused' : 'failed';
}
