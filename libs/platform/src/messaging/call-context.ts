/** What a handler knows about the call it serves, and what travels on with the calls that it makes itself. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { AltoError, type Caller } from '@alto/contracts';
import { type CallTerms, hasCondition, noTerms } from './call-terms';
import { traceIdOf } from './trace-context';

/** A user's API key, verified; or another service, let in by its NATS permissions. */
export type CallIdentity =
  | (Caller & { readonly kind: 'key' })
  | {
      readonly kind: 'service';
      /** The service, as the inbox of its reply says; for logs, not for decisions. */
      readonly id: string;
      readonly role: undefined;
      readonly project: null;
      readonly projectName: null;
    };

export interface CallContext {
  /** `<service>.<noun>.<verb>`. */
  readonly operation: string;
  readonly caller: CallIdentity;
  /** Id of the project that the call is about; null where it is about the cluster or made by a service. */
  readonly project: string | null;
  readonly requestId: string;
  /** W3C Trace Context header. */
  readonly traceparent: string;
  readonly traceId: string;
  /** Condition, trial, once: kept by the platform; a handler only calls `checkPrecondition`. */
  readonly terms: CallTerms;
  /** Aborts when the caller has given up. */
  readonly deadline: AbortSignal;
  /** Time until the caller gives up; 0 when it has. */
  remainingMs(): number;
}

export interface CallFacts {
  readonly operation: string;
  readonly caller: CallIdentity;
  readonly requestId: string;
  readonly traceparent: string;
  readonly budgetMs: number;
  /** The token as it came, to travel on with calls made on the caller's behalf. */
  readonly callerToken: string | undefined;
  readonly terms?: CallTerms | undefined;
}

/** A call while it is served. Its timer exists only when a handler asks for the signal: most never do. */
export class ServedCall implements CallContext {
  readonly operation: string;
  readonly caller: CallIdentity;
  readonly requestId: string;
  readonly traceparent: string;
  readonly callerToken: string | undefined;
  readonly terms: CallTerms;
  private isJudged = false;
  private readonly deadlineAt: number;
  private aborter: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(facts: CallFacts) {
    this.operation = facts.operation;
    this.caller = facts.caller;
    this.requestId = facts.requestId;
    this.traceparent = facts.traceparent;
    this.callerToken = facts.callerToken;
    this.terms = facts.terms ?? noTerms;
    this.deadlineAt = performance.now() + facts.budgetMs;
  }

  get project(): string | null {
    return this.caller.project;
  }

  get traceId(): string {
    return traceIdOf(this.traceparent);
  }

  get deadline(): AbortSignal {
    if (this.aborter === undefined) {
      const aborter = new AbortController();
      this.aborter = aborter;
      this.timer = setTimeout(() => aborter.abort(callerGaveUp()), this.remainingMs());
      this.timer.unref();
    }
    return this.aborter.signal;
  }

  remainingMs(): number {
    return Math.max(0, this.deadlineAt - performance.now());
  }

  /** The condition was compared with the resource. */
  judged(): void {
    this.isJudged = true;
  }

  /** @throws Error for a handler that would have done unconditionally what its caller asked for under a condition. */
  requireJudged(): void {
    if (hasCondition(this.terms) && !this.isJudged)
      throw new Error(`${this.operation} declares a precondition but its handler does not call checkPrecondition`);
  }

  /** The call has been answered: nothing aborts any more. */
  finish(): void {
    clearTimeout(this.timer);
  }
}

export function callerGaveUp(): AltoError {
  return new AltoError('timeout', 'The time that the caller gave for this request is over.');
}

const calls = new AsyncLocalStorage<ServedCall>();

export function runInCall<T>(call: ServedCall, body: () => T): T {
  return calls.run(call, body);
}

/** The call being served by the running code, if any. */
export function currentCall(): ServedCall | undefined {
  return calls.getStore();
}

/** Fields for every log line written while a call is served. */
export function logContext(): Record<string, unknown> | undefined {
  const call = calls.getStore();
  if (call === undefined) return undefined;
  return { traceId: call.traceId, requestId: call.requestId, operation: call.operation };
}

/** Runs background work as nobody's call, so that it does not inherit the budget and identity of the call that began it. */
export function outsideCall<T>(body: () => T): T {
  return calls.exit(body);
}

export function traceIdOfCall(): string | undefined {
  return calls.getStore()?.traceId;
}
