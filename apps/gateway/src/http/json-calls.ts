import { Inject, Injectable } from '@nestjs/common';
import type { Operation } from '@alto/contracts';
import { AltoClient, AltoNatsServer, beginCall, CONFIG, inSpan, isTracing, ServedCall } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { type LearnedOperation, takesJsonBody } from '../routing/learned-operation';
import type { Exchange } from './exchange';
import { buildInput } from './input';
import { readJsonBody } from './json-body';
import { securityHeaders } from './problem';

const bodyTimeoutMs = 30_000;
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
  ) {}

  async serve(exchange: Exchange): Promise<void> {
    const { operation, path, query, request, reply } = exchange;
    const body = takesJsonBody(operation) ? await this.readBody(exchange) : undefined;
    const input = buildInput(operation, { path, query, body });
    const output = await this.call(exchange, input);
    const status = operation.http.status ?? 200;
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(output) };
    reply.raw.writeHead(output === '' ? 204 : status, { ...securityHeaders, ...headers });
    reply.raw.end(request.method === 'HEAD' ? undefined : output);
  }

  private readBody({ request }: Exchange): Promise<unknown> {
    const { ALTO_JSON_BODY_BYTES_MAX: bytesMax, ALTO_JSON_DEPTH_MAX: depthMax } = this.config;
    return readJsonBody(request.raw, request.headers, { bytesMax, depthMax, timeoutMs: bodyTimeoutMs });
  }

  /** Where traces are recorded, this is the span that all others of the request lie under. */
  private call(exchange: Exchange, input: Record<string, unknown>): Promise<string> {
    const { operation, traceparent } = exchange;
    if (!isTracing(this.config)) return this.dispatch(exchange, input, traceparent);
    return inSpan('server', operation.name, traceparent, (own) => this.dispatch(exchange, input, own));
  }

  private async dispatch(exchange: Exchange, input: Record<string, unknown>, traceparent: string): Promise<string> {
    const { operation, caller, callerToken, requestId } = exchange;
    const call = new ServedCall({
      operation: operation.name,
      caller: { kind: 'key', ...caller },
      requestId,
      traceparent,
      callerToken,
      budgetMs: this.config.ALTO_REQUEST_TIMEOUT_MS,
    });
    if (operation.service === 'gateway') return this.own.serveLocally(operation.name, input, call);
    const output: unknown = await beginCall(call, () =>
      this.client.call(asOperation(operation), input, { patienceMs }),
    );
    return JSON.stringify(output) ?? '';
  }
}

/** To call an operation, the client looks at nothing that an announcement does not tell. */
function asOperation(operation: LearnedOperation): Operation {
  return operation as unknown as Operation;
}
