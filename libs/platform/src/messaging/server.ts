/**
 * Serves operations over NATS, as a Nest transport. Each operation has one subscription in the queue group of the
 * service, so that instances share the work. Every request is answered: also one that is malformed, not allowed, too
 * much, or whose handler has a bug.
 *
 * Drain: stop taking requests → the server confirms that none is on its way → handlers finish → their replies are with
 * the server. It lasts as long as the handlers do and loses nothing.
 */
import {
  AltoError,
  ambientErrorCodes,
  type ErrorCode,
  invalidRequest,
  isAddressed,
  type Operation,
  operationsOf,
  type ServiceName,
} from '@alto/contracts';
import { type CustomTransportStrategy, type MessageHandler, Server } from '@nestjs/microservices';
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import { nuid } from '@nats-io/transport-node';
import { firstValueFrom, isObservable } from 'rxjs';
import type { Log } from '../service/log';
import { checkCallerField, checkProject, identify } from './authorization';
import type { NatsBus } from './bus';
import { callerGaveUp, runInCall, ServedCall } from './call-context';
import { readRequestHeaders, type ReceivedHeaders } from './call-headers';
import { hasTerms, readTerms } from './call-terms';
import type { CallerTokenVerifier } from './caller-token';
import { altoTransport } from './handles';
import { Replies } from './reply';
import { newOperationStats, type OperationStats, recordServed } from './service-protocol';
import { inSpan } from './spans';
import { Standstill } from './standstill';
import { acceptTraceparent } from './trace-context';

/** Of a request that names none, as one sent with the `nats` command. */
const defaultBudgetMs = 30_000;
const defaultConcurrencyMax = 256;

export interface AltoServerOptions {
  readonly service: ServiceName;
  readonly instance: string;
  /** No request is taken before it resolves; at once unless given. */
  readonly readyToServe?: () => Promise<void>;
  /** Requests served at a time; more are answered `overloaded`. */
  readonly concurrencyMax?: number;
  /** Time that a drain gives the handlers; without end unless given. */
  readonly drainTimeoutMs?: number;
  /** Checks each output with the operation's schema, which also keeps fields out that the contract does not name. */
  readonly checkOutputs?: boolean;
  readonly tracing?: boolean;
  /** Told of every request, for metrics. */
  readonly observe?: (operation: string, outcome: 'ok' | ErrorCode, seconds: number) => void;
}

export interface ServedOperation {
  readonly operation: Operation;
  readonly subject: string;
  readonly stats: OperationStats;
}

/** Serves a call that has terms: the body runs its handler and gives the answer as JSON. */
export type TermsKeeper = (call: ServedCall, body: () => Promise<string>) => Promise<string>;

interface Endpoint extends ServedOperation {
  readonly handler: MessageHandler;
}

export class AltoNatsServer extends Server implements CustomTransportStrategy {
  override transportId = altoTransport;
  private readonly endpoints: Endpoint[] = [];
  private subscriptions: Subscription[] = [];
  private standstill: Standstill | undefined;
  private stopListening: (() => void) | undefined;
  private inFlight = 0;
  private readonly concurrencyMax: number;
  private whenIdle: (() => void) | undefined;
  private drained: Promise<void> | undefined;
  private keepTerms: TermsKeeper = (call) => {
    throw new Error(`${call.operation} was asked for on terms that a service without a database cannot keep`);
  };

  constructor(
    private readonly bus: NatsBus,
    private readonly verifier: CallerTokenVerifier,
    private readonly log: Log,
    private readonly options: AltoServerOptions,
  ) {
    super();
    this.concurrencyMax = options.concurrencyMax ?? defaultConcurrencyMax;
  }

  /** What this instance serves, for announcements and `$SRV`. */
  get served(): readonly ServedOperation[] {
    return this.endpoints;
  }

  /** Subscribes as soon as the service can serve and NATS is there, without waiting for either. */
  override listen(ready: (error?: Error) => void): void {
    try {
      for (const [subject, handler] of this.messageHandlers) this.endpoints.push(this.endpoint(subject, handler));
    } catch (error) {
      return ready(error as Error);
    }
    this.warnOfUnserved();
    const { readyToServe } = this.options;
    if (readyToServe === undefined) this.join();
    else void readyToServe().then(() => this.join());
    ready();
  }

  /** Who sees to it that a call's terms are kept; the database does where the service has one. */
  onTerms(keeper: TermsKeeper): void {
    this.keepTerms = keeper;
  }

  /**
   * Serves a request of this very process, as the gateway does for its own operations: like one over NATS, with nothing
   * in between. The caller has been identified and let into its project before.
   * @returns the output as JSON. @throws AltoError that the operation may answer with
   */
  async serveLocally(name: string, input: unknown, call: ServedCall): Promise<string> {
    const endpoint = this.endpoints.find(({ operation }) => operation.name === name);
    if (endpoint === undefined) throw new Error(`${name} is not served here`);
    const startedAt = performance.now();
    try {
      const parsed = endpoint.operation.input.safeParse(input);
      if (!parsed.success) throw invalidRequest(parsed.error);
      const output = await this.handle(endpoint, parsed.data, call);
      this.done(endpoint, 'ok', startedAt);
      return output;
    } catch (error) {
      const declared = this.toDeclared(endpoint.operation, error, call.traceparent);
      this.done(endpoint, declared.code, startedAt, declared.message);
      throw declared;
    }
  }

  /** Takes no more requests and waits for those accepted and their replies. May be called more than once. */
  drain(): Promise<void> {
    this.drained ??= this.finish();
    return this.drained;
  }

  /** Nest calls it when the application closes. */
  override close(): Promise<void> {
    return this.drain();
  }

  override on(): never {
    throw new Error('AltoNatsServer has no events: see NatsBus.onState');
  }

  override unwrap<T>(): T {
    return this.bus.connection as T;
  }

  private join(): void {
    if (this.drained !== undefined) return;
    this.stopListening = this.bus.onConnection((connection) => this.subscribe(connection));
  }

  private endpoint(subject: string, handler: MessageHandler): Endpoint {
    const operation = handler.extras?.['operation'] as Operation | undefined;
    if (operation === undefined) throw new Error(`${subject}: use @Handles(operation) instead of @MessagePattern`);
    if (operation.service !== this.options.service) {
      throw new Error(`${operation.name} belongs to ${operation.service}: ${this.options.service} cannot serve it`);
    }
    const addressee = operation.perInstance === true ? this.options.instance : '*';
    const own = isAddressed(operation) ? `${subject}.${addressee}` : subject;
    return { operation, subject: own, handler, stats: newOperationStats() };
  }

  /** Callers of these would be told that the service is not available. */
  private warnOfUnserved(): void {
    const served = new Set(this.endpoints.map(({ operation }) => operation.name));
    const unserved = operationsOf(this.options.service)
      .filter(({ http, name }) => (http?.kind ?? 'json') === 'json' && !served.has(name))
      .map(({ name }) => name);
    if (unserved.length > 0)
      this.log.warn('Operations are declared that no controller handles', { operations: unserved });
  }

  private subscribe(connection: NatsConnection): void {
    const replies = new Replies(connection, this.bus.queue, (subject, error) =>
      this.log.error('A reply could not be sent', { subject, error }),
    );
    this.standstill?.stop();
    this.standstill = new Standstill(() => connection.flush());
    this.subscriptions = this.endpoints.map((endpoint) =>
      connection.subscribe(endpoint.subject, {
        queue: this.options.service,
        callback: (error, message) => {
          if (error !== null)
            this.log.error('NATS does not let this service serve an operation', {
              operation: endpoint.operation.name,
              error,
            });
          else this.accept(endpoint, message, replies);
        },
      }),
    );
  }

  private accept(endpoint: Endpoint, message: Msg, replies: Replies): void {
    // Nobody could be told what became of it.
    if (!message.reply)
      return this.log.warn('A request without a subject for its answer is not served', { subject: message.subject });
    if (this.mayBeGivenUp(message)) return replies.notTaken(message);
    if (this.inFlight >= this.concurrencyMax) return this.refuse(endpoint, message, replies);
    this.inFlight++;
    void this.serve(endpoint, message, replies).finally(() => {
      this.inFlight--;
      if (this.inFlight === 0) this.whenIdle?.();
    });
  }

  private refuse(endpoint: Endpoint, message: Msg, replies: Replies): void {
    const { operation } = endpoint;
    const error = new AltoError('overloaded', {
      message: `${operation.service} has ${this.concurrencyMax} requests under way and takes no more for now.`,
      nextStep: 'Try again shortly.',
      details: { service: operation.service },
    });
    replies.error(message, error, undefined);
    this.done(endpoint, 'overloaded', performance.now(), error.message);
  }

  /** Never rejects. */
  private async serve(endpoint: Endpoint, message: Msg, replies: Replies): Promise<void> {
    const startedAt = performance.now();
    const headers = this.aged(readRequestHeaders(message));
    const traceparent = acceptTraceparent(headers.traceparent, this.options.tracing);
    try {
      const output = await this.answer(endpoint, message, headers, traceparent);
      replies.output(message, output);
      this.done(endpoint, 'ok', startedAt);
    } catch (error) {
      const declared = this.toDeclared(endpoint.operation, error, traceparent);
      replies.error(message, declared, traceparent);
      this.done(endpoint, declared.code, startedAt, declared.message);
    }
  }

  /** It may have lain unread for longer than its caller waits. One that has come just now is sent again. */
  private mayBeGivenUp(message: Msg): boolean {
    const lagMs = this.standstill?.lagMs() ?? 0;
    return lagMs > 0 && budgetOf(readRequestHeaders(message)) <= lagMs;
  }

  /** With the budget that is surely left: of a request that may have lain unread, less. */
  private aged(headers: ReceivedHeaders): ReceivedHeaders {
    const lagMs = this.standstill?.lagMs() ?? 0;
    return lagMs === 0 ? headers : { ...headers, budgetMs: Math.max(0, budgetOf(headers) - lagMs) };
  }

  private async answer(
    endpoint: Endpoint,
    message: Msg,
    headers: ReceivedHeaders,
    traceparent: string,
  ): Promise<string> {
    const { operation } = endpoint;
    if (headers.budgetMs === 0) throw callerGaveUp();
    const caller = identify(operation, headers.callerToken, this.verifier, callerOf(message));
    const parsed = operation.input.safeParse(readBody(message));
    if (!parsed.success) throw invalidRequest(parsed.error);
    checkProject(operation, caller, parsed.data);
    checkCallerField(operation, message.subject, parsed.data);
    const facts = {
      operation: operation.name,
      caller,
      requestId: headers.requestId ?? nuid.next(),
      budgetMs: budgetOf(headers),
      callerToken: headers.callerToken,
      terms: readTerms((name) => message.headers?.get(name)),
    };
    if (this.options.tracing !== true)
      return this.handle(endpoint, parsed.data, new ServedCall({ ...facts, traceparent }));
    return inSpan('server', operation.name, traceparent, (own) =>
      this.handle(endpoint, parsed.data, new ServedCall({ ...facts, traceparent: own })),
    );
  }

  private async handle(endpoint: Endpoint, input: unknown, call: ServedCall): Promise<string> {
    try {
      const body = () => this.output(endpoint, input, call);
      return await runInCall(call, () => (hasTerms(call.terms) ? this.keepTerms(call, body) : body()));
    } catch (error) {
      // A handler that stopped because its caller has given up throws the signal's reason, or what it made of it.
      throw call.remainingMs() === 0 && !(error instanceof AltoError) ? callerGaveUp() : error;
    } finally {
      call.finish();
    }
  }

  private async output({ operation, handler }: Endpoint, input: unknown, call: ServedCall): Promise<string> {
    const result: unknown = await handler(input, call);
    call.requireJudged();
    // Nest answers with an observable where a handler threw, or has interceptors.
    return this.encode(operation, isObservable(result) ? await firstValueFrom(result) : result);
  }

  private encode(operation: Operation, output: unknown): string {
    if (this.options.checkOutputs === false) return JSON.stringify(output) ?? '';
    const parsed = operation.output.safeParse(output);
    if (!parsed.success)
      throw new Error(`${operation.name} answered what its contract does not say: ${parsed.error.message}`);
    return JSON.stringify(parsed.data) ?? '';
  }

  /** An error that the operation does not declare is a bug: it is logged, and the caller learns nothing but the trace id. */
  private toDeclared(operation: Operation, error: unknown, traceparent: string): AltoError {
    if (error instanceof AltoError && mayAnswer(operation, error.code)) return error;
    this.log.error('An operation failed with an error that it does not declare', {
      operation: operation.name,
      traceId: traceparent.slice(3, 35),
      error,
    });
    return new AltoError('internal', {
      message: `Something failed in ${operation.service}. Its log has the cause under the trace id.`,
      details: { service: operation.service },
    });
  }

  private done(endpoint: Endpoint, outcome: 'ok' | ErrorCode, startedAt: number, lastError?: string): void {
    const elapsedMs = performance.now() - startedAt;
    recordServed(endpoint.stats, elapsedMs, lastError);
    this.options.observe?.(endpoint.operation.name, outcome, elapsedMs / 1000);
  }

  private async finish(): Promise<void> {
    this.stopListening?.();
    this.standstill?.stop();
    // Confirmed by the server: what it had sent before has reached `accept`.
    await Promise.allSettled(this.subscriptions.map((subscription) => subscription.drain()));
    await this.idle();
    await this.bus.flush();
  }

  /** A handler that never ends must not keep the process from ending. */
  private async idle(): Promise<void> {
    if (this.inFlight === 0) return;
    const { drainTimeoutMs } = this.options;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.whenIdle = resolve;
      if (drainTimeoutMs !== undefined) timer = setTimeout(resolve, drainTimeoutMs);
    });
    clearTimeout(timer);
    if (this.inFlight > 0) {
      this.log.error('Handlers did not finish in time and are cut off', { handlers: this.inFlight, drainTimeoutMs });
    }
  }
}

function budgetOf({ budgetMs }: ReceivedHeaders): number {
  return budgetMs ?? defaultBudgetMs;
}

function mayAnswer(operation: Operation, code: ErrorCode): boolean {
  return (
    code !== 'internal' &&
    ((code === 'precondition_failed' && operation.precondition !== undefined) ||
      (ambientErrorCodes as readonly ErrorCode[]).includes(code) ||
      operation.errors.includes(code))
  );
}

function readBody(message: Msg): unknown {
  if (message.data.length === 0) return {};
  try {
    return message.json();
  } catch {
    throw new AltoError('invalid_request', 'The request is not valid JSON.');
  }
}

/** Inboxes are named `_INBOX_<service>.…`. */
function callerOf(message: Msg): string {
  const inbox = message.reply;
  return inbox?.startsWith('_INBOX_') ? inbox.slice(7, inbox.indexOf('.')) : 'unknown';
}
