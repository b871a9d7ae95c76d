import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { AltoError, callHeaders, fromProblem } from '@alto/contracts';
import { CONFIG, ServiceDirectory, type ServiceInstance, termHeaders, traceIdOf } from '@alto/platform';
import { Agent, type Dispatcher } from 'undici';
import { Audit } from '../audit/audit.service';
import type { GatewayConfig } from '../config';
import { IdempotencyService } from '../idempotency/idempotency.service';
import { kindOf, pathFieldsOf } from '../routing/learned-operation';
import type { Exchange } from './exchange';
import { buildInput } from './input';
import { type Answer, endUpload, hasUnreadBody, problemAnswer, securityHeaders } from './problem';
import { RequestLog } from './request-log';
import { UploadBody } from './upload-body';

const connectTimeoutMs = 3_000;
/** Nothing else of what a client sends reaches a service. */
const headersToService = ['content-type', 'content-length', 'range', 'if-none-match', 'if-range'] as const;
const headersToClient = [
  'content-type',
  'content-length',
  'content-range',
  'content-disposition',
  'accept-ranges',
  'etag',
  'last-modified',
  'retry-after',
] as const;

/**
 * Uploads and downloads, streamed between the client and an instance's own HTTP host: at most a few chunks are in
 * memory, and the slower side sets the pace. When either side goes away the other is cut. Another instance is tried
 * only as long as no byte of the body was taken.
 */
@Injectable()
export class ServiceStreams implements OnApplicationShutdown {
  private readonly agent: Agent;
  private turn = 0;

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly directory: ServiceDirectory,
    private readonly requests: RequestLog,
    private readonly audit: Audit,
    private readonly idempotency: IdempotencyService,
  ) {
    this.agent = new Agent({
      connect: { timeout: connectTimeoutMs },
      headersTimeout: config.ALTO_STREAM_IDLE_MS,
      bodyTimeout: config.ALTO_STREAM_IDLE_MS,
      // A connection that an instance closes while it stops must not be picked for the next upload.
      keepAliveTimeout: 1_000,
    });
  }

  async serve(exchange: Exchange): Promise<void> {
    const { reply } = exchange;
    const body = kindOf(exchange.operation) === 'upload' ? this.bodyOf(exchange) : undefined;
    const gone = new AbortController();
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) gone.abort(new AltoError('timeout', 'The client has gone away.'));
    });
    if (body !== undefined && exchange.idempotencyKey !== undefined) {
      return this.serveOnce(exchange, exchange.idempotencyKey, body, gone.signal);
    }
    const answer = await this.ask(exchange, body, gone.signal);
    await this.passOn(answer, exchange, gone.signal);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.agent.close();
  }

  /** The answer is small, unlike the body: it is kept, with the digest of the body that it answers. */
  private async serveOnce(
    exchange: Exchange,
    idempotencyKey: string,
    body: UploadBody,
    signal: AbortSignal,
  ): Promise<void> {
    const { operation, path, query, caller, terms, traceparent, request, reply } = exchange;
    const { answer, isRepeated } = await this.idempotency.answer(
      { caller: caller.id, idempotencyKey, operation: operation.name, input: buildInput(operation, { path, query }) },
      async (onceKey) =>
        wholeAnswer(exchange, await this.ask({ ...exchange, terms: { ...terms, onceKey } }, body, signal)),
      (error) => problemAnswer(error, traceIdOf(traceparent)),
      body,
    );
    reply.raw.writeHead(answer.status, {
      ...answer.headers,
      'content-length': Buffer.byteLength(answer.body),
      ...(isRepeated && { 'idempotency-replayed': 'true' }),
      ...(hasUnreadBody(request.raw) && { connection: 'close' }),
    });
    reply.raw.write(answer.body);
    endUpload(request.raw, reply.raw);
  }

  private bodyOf({ request, idempotencyKey }: Exchange): UploadBody {
    const { config } = this;
    const limits = {
      bytesMax: config.ALTO_UPLOAD_BYTES_MAX,
      idleMs: config.ALTO_STREAM_IDLE_MS,
      bytesPerSecondMin: config.ALTO_UPLOAD_BYTES_PER_SECOND_MIN,
    };
    const count = (bytes: number) => this.requests.passed('upload', bytes);
    return new UploadBody(request.raw, limits, count, idempotencyKey !== undefined);
  }

  private ask(exchange: Exchange, body: UploadBody | undefined, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    return this.audit.around(
      exchange,
      () => this.send(exchange, body, signal),
      ({ statusCode: status }) => ({ status }),
    );
  }

  private async send(
    exchange: Exchange,
    body: UploadBody | undefined,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const target = targetOf(exchange);
    const headers = headersOf(exchange);
    let failure: unknown;
    for (const instance of this.instancesOf(exchange)) {
      try {
        return await this.agent.request({
          origin: instance.httpUrl ?? '',
          path: target,
          method: exchange.operation.http.method,
          headers,
          body: body === undefined ? null : Readable.from(body.chunks(), { objectMode: false }),
          signal: body === undefined ? signal : AbortSignal.any([signal, body.signal]),
        });
      } catch (error) {
        failure = body?.failure ?? error;
        if (body?.failure || body?.isTaken || signal.aborted) break;
      }
    }
    if (failure instanceof AltoError) throw failure;
    throw unavailable(exchange, failure);
  }

  /** Every ready instance once, each request beginning with the next one. */
  private instancesOf({ operation }: Exchange): ServiceInstance[] {
    const ready = this.directory
      .instances(operation.service)
      .filter(({ state, httpUrl }) => state === 'ready' && httpUrl !== null);
    const first = ready.length === 0 ? 0 : this.turn++ % ready.length;
    return [...ready.slice(first), ...ready.slice(0, first)];
  }

  private async passOn(
    answer: Dispatcher.ResponseData,
    { request, reply: { raw: response }, terms }: Exchange,
    signal: AbortSignal,
  ): Promise<void> {
    response.writeHead(terms.dryRun === true && isDone(answer) ? 200 : answer.statusCode, {
      ...securityHeaders,
      ...pick(answer.headers, headersToClient),
      ...(hasUnreadBody(request.raw) && { connection: 'close' }),
    });
    if (request.method === 'HEAD') {
      answer.body.destroy();
      response.end();
      return;
    }
    const count = (bytes: number) => this.requests.passed('download', bytes);
    const isWhole = await pump(answer.body, response, this.config.ALTO_STREAM_IDLE_MS, signal, count);
    if (isWhole) endUpload(request.raw, response);
  }
}

/** Cuts both sides when one of them stands still for too long. @returns whether all of it was passed on */
async function pump(
  source: Readable,
  sink: ServerResponse,
  idleMs: number,
  signal: AbortSignal,
  count: (bytes: number) => void,
): Promise<boolean> {
  const timer = setTimeout(() => sink.destroy(), idleMs);
  try {
    for await (const chunk of source) {
      timer.refresh();
      count((chunk as Buffer).length);
      if (!sink.write(chunk)) await once(sink, 'drain', { signal });
    }
    return true;
  } catch {
    // The head is sent, so all that can be said is that the content is not whole.
    sink.destroy();
    return false;
  } finally {
    clearTimeout(timer);
    source.destroy();
  }
}

/** The same path as the client's, with the project's id, then what else the input holds as query. */
function targetOf(exchange: Exchange): string {
  const { operation, path, query } = exchange;
  const input = buildInput(operation, { path, query });
  const filled = operation.http.path.replace(/\{([a-zA-Z]+)\}/g, (_, field: string) =>
    encodeURIComponent(path[field] ?? ''),
  );
  const inPath = new Set(pathFieldsOf(operation));
  const rest = new URLSearchParams();
  for (const [field, value] of Object.entries(input)) {
    if (inPath.has(field)) continue;
    for (const item of Array.isArray(value) ? value : [value]) rest.append(field, String(item));
  }
  return rest.size > 0 ? `${filled}?${rest}` : filled;
}

/** @throws AltoError that the service refused with */
async function wholeAnswer(exchange: Exchange, answer: Dispatcher.ResponseData): Promise<Answer> {
  const body = await answer.body.text().catch((error: unknown) => {
    throw unavailable(exchange, error);
  });
  if (!isDone(answer)) throw fromProblem(parsed(body));
  const { 'content-length': _, ...headers } = pick(answer.headers, headersToClient);
  return { status: answer.statusCode, headers: { ...securityHeaders, ...headers }, body };
}

function isDone({ statusCode }: Dispatcher.ResponseData): boolean {
  return statusCode < 300;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function headersOf({ request, callerToken, requestId, traceparent, terms }: Exchange): Record<string, string> {
  return {
    ...pick(request.headers, headersToService),
    ...termHeaders(terms),
    [callHeaders.caller]: callerToken,
    [callHeaders.requestId]: requestId,
    [callHeaders.trace]: traceparent,
  };
}

function pick(headers: Record<string, unknown>, names: readonly string[]): Record<string, string> {
  const found = names.map((name) => [name, headers[name]] as const);
  return Object.fromEntries(found.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function unavailable({ operation }: Exchange, cause: unknown): AltoError {
  return new AltoError(
    'service_unavailable',
    {
      message: `The service ${operation.service} is not available.`,
      nextStep: 'Try again shortly; `alto status` shows the state of each service.',
      details: { service: operation.service },
    },
    { cause },
  );
}
