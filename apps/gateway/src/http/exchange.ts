import type { Caller } from '@alto/contracts';
import type { CallTerms } from '@alto/platform';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LearnedOperation } from '../routing/learned-operation';

/** One authenticated and authorised request on its way through the gateway. */
export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly operation: LearnedOperation;
  /** Path parameters, the project's name replaced by its id. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly terms: CallTerms;
  /** Of a POST that is to be done once. */
  readonly idempotencyKey?: string;
  readonly caller: Caller;
  readonly keyName: string;
  /** From which the request comes. */
  readonly address: string;
  /** Signed: what the services believe. */
  readonly callerToken: string;
  readonly requestId: string;
  readonly traceparent: string;
}
