/** Checks the caller of an upload or download, which the gateway streams to the service's own HTTP host. */
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { callHeaders, type InputOf, invalidRequest, type Operation } from '@alto/contracts';
import { nuid } from '@nats-io/transport-node';
import type { FastifyRequest } from 'fastify';
import { checkProject, identify } from './authorization';
import { type CallContext, ServedCall } from './call-context';
import { isHeaderSafe, readBudget } from './call-headers';
import { readTerms } from './call-terms';
import { CallerTokenVerifier } from './caller-token';
import { operatesKey } from './handles';
import { acceptTraceparent } from './trace-context';

/** Streams take as long as their content does: this bounds what the handler asks of other services. */
const defaultBudgetMs = 10 * 60_000;

/** The request as a route with `@Operates(op)` sees it. */
export interface OperationRequest<O extends Operation> extends FastifyRequest {
  call: CallContext;
  /** Path parameters and query, validated. */
  operationInput: InputOf<O>;
}

@Injectable()
export class HttpCallerGuard implements CanActivate {
  constructor(private readonly verifier: CallerTokenVerifier) {}

  /** @throws AltoError `unauthenticated`, `forbidden`, `not_found` or `invalid_request` */
  canActivate(context: ExecutionContext): boolean {
    const operation = Reflect.getMetadata(operatesKey, context.getHandler()) as Operation | undefined;
    if (operation === undefined)
      throw new Error(`${context.getHandler().name}: HttpCallerGuard needs @Operates(operation)`);
    const request = context.switchToHttp().getRequest<OperationRequest<Operation>>();
    const callerToken = header(request, callHeaders.caller);
    const caller = identify(operation, callerToken, this.verifier, 'unknown');
    const parsed = operation.input.safeParse({ ...(request.query as object), ...(request.params as object) });
    if (!parsed.success) throw invalidRequest(parsed.error);
    checkProject(operation, caller, parsed.data);
    const requestId = header(request, callHeaders.requestId);
    request.operationInput = parsed.data;
    request.call = new ServedCall({
      operation: operation.name,
      caller,
      callerToken,
      requestId:
        requestId !== undefined && requestId.length <= 100 && isHeaderSafe(requestId) ? requestId : nuid.next(),
      traceparent: acceptTraceparent(header(request, callHeaders.trace)),
      budgetMs: readBudget(header(request, callHeaders.budget)) ?? defaultBudgetMs,
      terms: readTerms((name) => header(request, name)),
    });
    return true;
  }
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name.toLowerCase()];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
