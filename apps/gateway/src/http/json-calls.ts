import { Inject, Injectable } from '@nestjs/common';
import type { Operation } from '@alto/contracts';
import {
  AltoClient,
  AltoNatsServer,
  beginCall,
  type CallTerms,
  CONFIG,
  inSpan,
  isTracing,
  ServedCall,
  traceIdOf,
} from '@alto/platform';
import { Audit } from '../audit/audit.service';
import type { GatewayConfig } from '../config';
import { IdempotencyService } from '../idempotency/idempotency.service';
import { entityTagOf, showsVersion } from '../preconditions/entity-tag';
import { type LearnedOperation, takesJsonBody } from '../routing/learned-operation';
import type { Exchange } from './exchange';
import { buildInput } from './input';
import { readJsonBody } from './json-body';
import { type Answer, jsonAnswer, problemAnswer } from './problem';

/**
 * What certainly reached nobody is tried again for this long, and so is an idempotent operation whose connection was
 * lost: long enough for the moment in which one instance hands over to the next, too short to feel like a timeout.
 */
const patienceMs = 250;

/** JSON in, JSON out: over NATS for a service, in this process for the gateway's own operations. */
@Injectable()
export class JsonCalls {
  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly client: AltoClient,
    private readonly own: AltoNatsServer,
    private readonly idempotency: IdempotencyService,
    private readonly audit: Audit,
  ) {}

  async serve(exchange: Exchange): Promise<void> {
    const { operation, path, query, request, reply } = exchange;
    const body = takesJsonBody(operation) ? await this.readBody(exchange) : undefined;
    const input = buildInput(operation, { path, query, body });
    const answer = await this.answer(exchange, input);
    reply.raw.writeHead(answer.status, { ...answer.headers, 'content-length': Buffer.byteLength(answer.body) });
    reply.raw.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  private async answer(exchange: Exchange, input: Record<string, unknown>): Promise<Answer> {
    const { operation, terms, idempotencyKey, caller, reply, traceparent } = exchange;
    if (idempotencyKey === undefined) return this.work(exchange, input, terms);
    const { answer, isRepeated } = await this.idempotency.answer(
      { caller: caller.id, idempotencyKey, operation: operation.name, input, condition: terms.ifMatch },
      (onceKey) => this.work(exchange, input, { ...terms, onceKey }),
      (error) => problemAnswer(error, traceIdOf(traceparent)),
    );
    if (isRepeated) reply.raw.setHeader('idempotency-replayed', 'true');
    return answer;
  }

  private async work(exchange: Exchange, input: Record<string, unknown>, terms: CallTerms): Promise<Answer> {
    const { operation } = exchange;
    const status = terms.dryRun === true ? 200 : (operation.http.status ?? 200);
    const output = await this.audit.around(
      exchange,
      () => this.call(exchange, input, terms),
      (body) => ({ status, body }),
      (reading) => this.call({ ...exchange, operation: reading }, { ...exchange.path }, {}),
    );
    return jsonAnswer(status, output, showsVersion(operation) ? entityTagOf(JSON.parse(output)) : undefined);
  }

  private readBody({ request }: Exchange): Promise<unknown> {
    const { config } = this;
    return readJsonBody(request.raw, request.headers, {
      bytesMax: config.ALTO_JSON_BODY_BYTES_MAX,
      depthMax: config.ALTO_JSON_DEPTH_MAX,
      elementsMax: config.ALTO_JSON_ELEMENTS_MAX,
      timeoutMs: config.ALTO_JSON_BODY_TIMEOUT_MS,
    });
  }

  /** Where traces are recorded, this is the span that all others of the request lie under. */
  private call(exchange: Exchange, input: Record<string, unknown>, terms: CallTerms): Promise<string> {
    const { operation, traceparent } = exchange;
    if (!isTracing(this.config)) return this.dispatch({ ...exchange, terms }, input);
    return inSpan('server', operation.name, traceparent, (own) =>
      this.dispatch({ ...exchange, terms, traceparent: own }, input),
    );
  }

  private async dispatch(exchange: Exchange, input: Record<string, unknown>): Promise<string> {
    const { operation, caller, callerToken, requestId, traceparent, terms } = exchange;
    const call = new ServedCall({
      operation: operation.name,
      caller: { kind: 'key', ...caller },
      requestId,
      traceparent,
      callerToken,
      terms,
      budgetMs: this.config.ALTO_REQUEST_TIMEOUT_MS,
    });
    if (operation.service === 'gateway') return this.own.serveLocally(operation.name, input, call);
    const output: unknown = await beginCall(call, () =>
      this.client.call(asOperation(operation), input, { patienceMs, terms }),
    );
    return JSON.stringify(output) ?? '';
  }
}

/** To call an operation, the client looks at nothing that an announcement does not tell. */
function asOperation(operation: LearnedOperation): Operation {
  return operation as unknown as Operation;
}
