import type { Caller } from '@alto/contracts';
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
  readonly caller: Caller;
  /** Signed: what the services believe. */
  readonly callerToken: string;
  readonly requestId: string;
  readonly traceparent: string;
}
