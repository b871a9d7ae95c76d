import { type BeforeApplicationShutdown, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { type AltoError, callerMay, isChange, newId, type RequiredPermission } from '@alto/contracts';
import { Clock, Log, Metrics, toAltoError, traceIdOf } from '@alto/platform';
import type { FastifyRequest } from 'fastify';
import { Counter } from 'prom-client';
import type { Exchange } from '../http/exchange';
import type { Principal } from '../identity/principal';
import type { LearnedOperation } from '../routing/learned-operation';
import { Routes } from '../routing/routes.service';
import { type AuditEntry, type AuditResult, isWorthWriting, readOf, resourceOf } from './audit-entry';
import { AuditStore } from './audit.store';
import { Batches } from './batches';
import { maskedJson } from './masking';
import { type CountedRefusal, Refusals } from './refusals';

const rowsMax = 500;
const refusalKindsMax = 1_000;
const flushEveryMs = 1_000;
/** Results that wait for PostgreSQL to come back; what is beyond stays `unknown`. */
const resultsMax = 10_000;

/** A request as far as it has come. */
export interface Attempt {
  readonly request: FastifyRequest;
  readonly address: string;
  readonly requestId: string;
  readonly traceparent: string;
  operation?: LearnedOperation;
  path?: Readonly<Record<string, string>>;
  principal?: Principal;
  /** Once it is authorised. */
  exchange?: Exchange;
}

export interface Outcome {
  readonly status: number;
  /** JSON, where the answer is that. */
  readonly body?: string;
}

/**
 * Writes the audit log. The entry of a change is committed before the change is passed on, its result afterwards: no
 * change that was acknowledged can be missing, and one whose gateway died in between stands there as `unknown`. What is
 * refused before that is written within seconds, and counted where it repeats itself. Reads wait for nothing.
 */
@Injectable()
export class Audit implements OnModuleDestroy, BeforeApplicationShutdown {
  private readonly entries: Batches<AuditEntry>;
  private readonly refusals = new Refusals(refusalKindsMax);
  /** Requests whose result is written with their entry. */
  private readonly entered = new WeakSet<FastifyRequest>();
  private results: AuditResult[] = [];
  private flushing: Promise<void> | undefined;
  private readonly timer: NodeJS.Timeout;
  private readonly lost: Counter;

  constructor(
    private readonly store: AuditStore,
    private readonly routes: Routes,
    private readonly clock: Clock,
    private readonly log: Log,
    metrics: Metrics,
  ) {
    this.entries = new Batches((rows) => this.store.insertEntries(rows), rowsMax);
    this.timer = setInterval(() => void this.flush(), flushEveryMs).unref();
    this.lost = new Counter({
      name: 'alto_gateway_audit_results_lost_total',
      help: 'Results of changes that could not be written to the audit log; they stand there as unknown',
      registers: [metrics.registry],
    });
  }

  /**
   * Passes a change on, with its entry before and its result after; anything else as it is.
   * @param read calls another operation for the same caller, to know what was there before
   * @throws AltoError service_unavailable when the entry cannot be written: the change is not made then
   */
  async around<T>(
    exchange: Exchange,
    pass: () => Promise<T>,
    outcomeOf: (answer: T) => Outcome,
    read: (operation: LearnedOperation) => Promise<string> = async () => '',
  ): Promise<T> {
    if (!isChange(exchange.operation) || exchange.terms.dryRun === true) return pass();
    const entry = this.entryOf(exchange, await this.readBefore(exchange, read));
    await this.entries.add(entry);
    this.entered.add(exchange.request);
    try {
      const answer = await pass();
      const { status, body } = outcomeOf(answer);
      this.note({ entry_id: entry.id, at: this.now(), status, code: null, after: maskedJson(body) });
      return answer;
    } catch (thrown) {
      const { status, code } = toAltoError(thrown);
      this.note({ entry_id: entry.id, at: this.now(), status, code, after: null });
      throw thrown;
    }
  }

  /** Notes an attempt that came to nothing before it was passed on. */
  refused(attempt: Attempt, error: AltoError): void {
    const { operation, principal, exchange, path = {} } = attempt;
    if (operation === undefined || this.entered.has(attempt.request)) return;
    if (!isWorthWriting(operation, error.status)) return;
    if (exchange?.terms.dryRun === true && error.status !== 403) return;
    this.refusals.add({
      atMs: this.clock.nowMs(),
      projectId: exchange?.caller.project ?? principal?.project?.id ?? null,
      key: principal ? { id: principal.keyId, name: principal.keyName, role: principal.role } : null,
      operation: operation.name,
      resource: resourceOf(operation, path),
      address: attempt.address,
      requestId: attempt.requestId,
      traceId: traceIdOf(attempt.traceparent),
      status: error.status,
      code: error.code,
    });
  }

  /** Writes what is waiting. */
  async flush(): Promise<void> {
    this.flushing ??= this.write().finally(() => (this.flushing = undefined));
    await this.flushing;
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  /** Requests have all been answered by now; the database is still there. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.flush();
  }

  private entryOf({ caller, operation, path, keyName, address, requestId, traceparent }: Exchange, before: unknown) {
    return {
      id: newId('audit', this.clock.nowMs()),
      at: this.now(),
      project_id: caller.project,
      key_id: caller.id,
      key_name: keyName,
      role: caller.role,
      operation: operation.name,
      resource: resourceOf(operation, path),
      address,
      request_id: requestId,
      trace_id: traceIdOf(traceparent),
      attempts: 1,
      before,
    };
  }

  /** Null where there is nothing yet, or the key may not see it. */
  private async readBefore(
    { operation, caller }: Exchange,
    read: (operation: LearnedOperation) => Promise<string>,
  ): Promise<unknown> {
    const reading = readOf(operation, this.routes.operations);
    if (reading === undefined || !callerMay(caller, reading.permission as RequiredPermission)) return null;
    try {
      return maskedJson(await read(reading));
    } catch {
      return null;
    }
  }

  private note(result: AuditResult): void {
    if (this.results.length >= resultsMax) return this.lost.inc();
    this.results.push(result);
    if (this.results.length === 1) setImmediate(() => void this.flush());
  }

  /** Until nothing is waiting, or PostgreSQL is away. */
  private async write(): Promise<void> {
    for (let isWritten = true; isWritten && (this.results.length > 0 || this.refusals.size > 0);)
      isWritten = await this.writeBatch();
  }

  /** @returns false when it could not be written, and waits on */
  private async writeBatch(): Promise<boolean> {
    const results = this.results.splice(0, rowsMax);
    const refusals = this.refusals.take();
    try {
      if (results.length > 0) await this.store.insertResults(results);
      results.length = 0;
      if (refusals.length > 0) await this.writeRefusals(refusals);
      return true;
    } catch (error) {
      this.log.warn('The audit log could not be written; trying again', { error });
      this.results.unshift(...results);
      this.refusals.putBack(refusals);
      return false;
    }
  }

  private async writeRefusals(refusals: readonly CountedRefusal[]): Promise<void> {
    const entries = refusals.map((refusal): AuditEntry => ({
      id: newId('audit', refusal.atMs),
      at: new Date(refusal.atMs).toISOString(),
      project_id: refusal.projectId,
      key_id: refusal.key?.id ?? null,
      key_name: refusal.key?.name ?? null,
      role: refusal.key?.role ?? null,
      operation: refusal.operation,
      resource: refusal.resource,
      address: refusal.address,
      request_id: refusal.requestId,
      trace_id: refusal.traceId,
      attempts: refusal.attempts,
      before: null,
    }));
    const results = refusals.map(({ status, code, atMs }, index): AuditResult => {
      const at = new Date(atMs).toISOString();
      return { entry_id: entries[index]?.id ?? '', at, status, code, after: null };
    });
    await this.store.insertRefused(entries, results);
  }

  private now(): string {
    return this.clock.now().toISOString();
  }
}
