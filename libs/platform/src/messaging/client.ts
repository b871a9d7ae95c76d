/** Calls operations of other services over NATS, and sends nudges. */
import {
  AltoError,
  callHeaders,
  fromProblem,
  type Operation,
  type OutputOf,
  type RequestOf,
  subjectOf,
} from '@alto/contracts';
import { type Msg, nuid, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import type { Log } from '../service/log';
import type { NatsBus } from './bus';
import { callerGaveUp, currentCall, outsideCall, runInCall, type ServedCall } from './call-context';
import { encodeRequestHeaders } from './call-headers';
import type { CallTerms } from './call-terms';
import { ConnectionLost, NoAnswer, NotDelivered, NotPermitted, RequestInbox } from './request-inbox';
import { Repetitions, repetitionsOf } from './repetitions';
import { inSpan } from './spans';
import { newTraceparent } from './trace-context';

const defaultTimeoutMs = 10_000;
const defaultPatienceMs = 5_000;
const firstBackoffMs = 15;
const longestBackoffMs = 250;

export interface CallOptions {
  /** Time budget; never more than what the call being served has left. */
  readonly timeoutMs?: number;
  /** How long to go on trying when nobody serves the operation, as while its only instance restarts. */
  readonly patienceMs?: number;
  /** A caller's token; that of the call being served unless given. */
  readonly callerToken?: string;
  /** For operations addressed to one instance. */
  readonly instance?: string;
  /** On which terms; a call made while a trial is served is a trial itself. */
  readonly terms?: CallTerms;
  /** Gives up early. */
  readonly signal?: AbortSignal;
}

export interface MessageSubscription {
  unsubscribe(): void;
}

export interface SubscribeOptions {
  /** Each message goes to one member of the queue. */
  readonly queue?: string;
}

type MessageHandler = (data: unknown, subject: string) => void | Promise<void>;

export class AltoClient {
  private readonly inbox: RequestInbox;
  private readonly repetitions = new Repetitions();

  constructor(
    private readonly bus: NatsBus,
    private readonly log: Log,
    private readonly options: { readonly tracing?: boolean } = {},
  ) {
    this.inbox = new RequestInbox(bus.inboxPrefix, bus.queue);
    bus.onConnection((connection) => this.inbox.attach(connection));
    bus.onRefusal((subject) => this.inbox.notPermitted(subject));
    bus.onState((state) => {
      if (state === 'disconnected' || state === 'closed') this.inbox.connectionLost();
    });
  }

  /**
   * Calls an operation. The budget, trace, request id and caller of the call being served travel on by themselves.
   * What was certainly not delivered is tried again for `patienceMs`; what may have been served is tried again only
   * where the operation is idempotent or the request has a name that the service knows it by. Such a request is also
   * sent once more where no answer comes, as {@link repetitionsOf} says.
   * @throws AltoError as the service answered it, or `service_unavailable`, or `timeout`
   */
  async call<O extends Operation>(operation: O, input: RequestOf<O>, options: CallOptions = {}): Promise<OutputOf<O>> {
    const serving = currentCall();
    const parent = serving?.traceparent ?? newTraceparent(this.options.tracing);
    if (this.options.tracing !== true) return this.attempt(operation, input, options, serving, parent);
    return inSpan('client', operation.name, parent, (traceparent) =>
      this.attempt(operation, input, options, serving, traceparent),
    );
  }

  /** Sends a message that may be lost: a nudge, never the only record of anything. */
  publish(subject: string, data: unknown = null): void {
    this.bus.connection?.publish(subject, JSON.stringify(data));
  }

  /** Listens for messages, across reconnects. A handler that fails is logged; the next message comes all the same. */
  subscribe(subject: string, handler: MessageHandler, { queue }: SubscribeOptions = {}): MessageSubscription {
    let subscription: Subscription | undefined;
    const receive = (message: Msg) => void this.handle(message, handler);
    const forget = this.bus.onConnection((connection) => {
      subscription = connection.subscribe(subject, {
        ...(queue !== undefined && { queue }),
        callback: (error, message) => {
          if (error === null) receive(message);
        },
      });
    });
    return {
      unsubscribe: () => {
        forget();
        subscription?.unsubscribe();
      },
    };
  }

  private async attempt<O extends Operation>(
    operation: O,
    input: RequestOf<O>,
    options: CallOptions,
    serving: ServedCall | undefined,
    traceparent: string,
  ): Promise<OutputOf<O>> {
    const subject = subjectOf(operation, options.instance ?? callerIn(operation, input));
    const payload = JSON.stringify(input);
    const requestId = serving?.requestId ?? nuid.next();
    const callerToken = options.callerToken ?? serving?.callerToken;
    const budgetMs = Math.min(options.timeoutMs ?? defaultTimeoutMs, serving?.remainingMs() ?? Infinity);
    const terms = serving?.terms.dryRun === true ? { ...options.terms, dryRun: true } : options.terms;
    const isRepeatable = operation.idempotent || terms?.onceKey !== undefined;
    const startedAt = performance.now();
    const patienceMs = Math.min(options.patienceMs ?? defaultPatienceMs, budgetMs);
    for (let failures = 0; ; failures++) {
      const leftMs = budgetMs - (performance.now() - startedAt);
      if (leftMs <= 0) throw failures === 0 ? callerGaveUp() : unavailable(operation);
      try {
        const connection = this.bus.connection ?? (await this.connection(operation, patienceMs));
        const ask = (withinMs: number) => {
          const headers = encodeRequestHeaders({ requestId, traceparent, budgetMs: withinMs, callerToken, terms });
          return this.send(this.bus.connection ?? connection, subject, payload, headers, withinMs, options.signal);
        };
        const afterMs = repetitionsOf(operation, terms, leftMs);
        return readAnswer(await this.repetitions.firstAnswer(operation.name, afterMs, leftMs, ask));
      } catch (error) {
        const retryable = error instanceof NotDelivered || (error instanceof ConnectionLost && isRepeatable);
        const elapsedMs = performance.now() - startedAt;
        if (!retryable || elapsedMs >= patienceMs) throw translate(error, operation, budgetMs);
        await pause(Math.min(backoff(failures), patienceMs - elapsedMs), options.signal);
      }
    }
  }

  private send(
    connection: NatsConnection,
    subject: string,
    payload: string,
    headers: ReturnType<typeof encodeRequestHeaders>,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Msg> {
    const answer = this.inbox.request(connection, subject, payload, headers, timeoutMs);
    return signal === undefined ? answer : unlessAborted(answer, signal);
  }

  private async connection(operation: Operation, patienceMs: number): Promise<NatsConnection> {
    const connection = await this.bus.connected(patienceMs);
    if (connection === undefined)
      throw new AltoError('service_unavailable', `${operation.service} cannot be reached: NATS is away.`);
    return connection;
  }

  private async handle(message: Msg, handler: MessageHandler): Promise<void> {
    try {
      const data: unknown = message.data.length === 0 ? null : message.json();
      await outsideCall(async () => handler(data, message.subject));
    } catch (error) {
      this.log.error('A message could not be handled', { subject: message.subject, error });
    }
  }
}

/** Who the caller says it is, for operations that are told apart by that. */
function callerIn({ callerField }: Operation, input: object): string | undefined {
  return callerField === undefined ? undefined : String((input as Record<string, unknown>)[callerField]);
}

/** Runs the body as a call that begins here, e.g. for a user's HTTP request: what it calls inherits from it. */
export function beginCall<T>(call: ServedCall, body: () => T): T {
  return runInCall(call, body);
}

/** An answer without headers is a success; an empty one is `undefined`. */
function readAnswer<T>(message: Msg): T {
  const code = message.headers?.get(callHeaders.error) ?? '';
  if (code !== '') throw fromProblem(message.json());
  return (message.data.length === 0 ? undefined : message.json()) as T;
}

function translate(error: unknown, operation: Operation, budgetMs: number): unknown {
  if (error instanceof NotDelivered) return unavailable(operation);
  if (error instanceof ConnectionLost) {
    return new AltoError('service_unavailable', {
      message: `The connection to ${operation.service} was lost; whether ${operation.name} was done is not known.`,
      details: { service: operation.service },
    });
  }
  if (error instanceof NotPermitted) {
    return new AltoError('forbidden', {
      message: `This service may not call ${operation.name}: its NATS permissions do not name it.`,
      nextStep: 'Name the service among the callers of the operation in libs/contracts, or renew its credentials.',
    });
  }
  if (error instanceof NoAnswer) {
    return new AltoError('timeout', {
      message: `${operation.service} did not answer ${operation.name} within ${Math.round(budgetMs)} ms.`,
      details: { service: operation.service },
    });
  }
  if (error instanceof Error && /max_payload/.test(error.message)) {
    return new AltoError('too_large', {
      message: `The request for ${operation.name} is larger than a message may be.`,
    });
  }
  return error;
}

function unavailable(operation: Operation): AltoError {
  return new AltoError('service_unavailable', {
    message: `The service ${operation.service} is not available.`,
    nextStep: 'Try again shortly; `alto status` shows the state of each service.',
    details: { service: operation.service },
  });
}

/** Doubles, with jitter, so that many waiting callers do not come at once. */
function backoff(failures: number): number {
  const longest = Math.min(firstBackoffMs * 2 ** failures, longestBackoffMs);
  return longest * (0.5 + Math.random() / 2);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const waited = new Promise<void>((resolve) => setTimeout(resolve, ms));
  return signal === undefined ? waited : unlessAborted(waited, signal);
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
