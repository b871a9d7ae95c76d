import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { AltoError, callHeaders } from '@alto/contracts';
import { CONFIG, ServiceDirectory, type ServiceInstance } from '@alto/platform';
import { Agent, type Dispatcher } from 'undici';
import { Audit } from '../audit/audit.service';
import type { GatewayConfig } from '../config';
import { kindOf, pathFieldsOf } from '../routing/learned-operation';
import type { Exchange } from './exchange';
import { buildInput } from './input';
import { hasUnreadBody, securityHeaders } from './problem';
import { RequestLog } from './request-log';

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
    const { request, reply } = exchange;
    const body = kindOf(exchange.operation) === 'upload' ? this.bodyOf(request.raw) : undefined;
    const gone = new AbortController();
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) gone.abort(new AltoError('timeout', 'The client has gone away.'));
    });
    const answer = await this.audit.around(
      exchange,
      () => this.send(exchange, body, gone.signal),
      ({ statusCode: status }) => ({ status }),
    );
    await this.passOn(answer, reply.raw, request, gone.signal);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.agent.close();
  }

  private bodyOf(request: IncomingMessage): UploadBody {
    const { ALTO_UPLOAD_BYTES_MAX: bytesMax, ALTO_STREAM_IDLE_MS: idleMs } = this.config;
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > bytesMax) throw tooLarge(bytesMax);
    return new UploadBody(request, bytesMax, idleMs, (bytes) => this.requests.passed('upload', bytes));
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
    response: ServerResponse,
    request: Exchange['request'],
    signal: AbortSignal,
  ): Promise<void> {
    const headers = pick(answer.headers, headersToClient);
    response.writeHead(answer.statusCode, {
      ...securityHeaders,
      ...headers,
      ...(hasUnreadBody(request.raw) && { connection: 'close' }),
    });
    if (request.method === 'HEAD') {
      answer.body.destroy();
      response.end();
      return;
    }
    await pump(answer.body, response, this.config.ALTO_STREAM_IDLE_MS, signal, (bytes) =>
      this.requests.passed('download', bytes),
    );
  }
}

/** The client's body, limited in size and in silence. Reading it begins only when a service takes it. */
class UploadBody {
  isTaken = false;
  /** Why the body could not be passed on, where the fault is on the client's side. */
  failure: AltoError | undefined;
  private readonly failed = new AbortController();

  constructor(
    private readonly source: IncomingMessage,
    private readonly bytesMax: number,
    private readonly idleMs: number,
    private readonly count: (bytes: number) => void,
  ) {}

  /** Aborts with the failure. */
  get signal(): AbortSignal {
    return this.failed.signal;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    this.isTaken = true;
    let size = 0;
    const timer = setTimeout(() => {
      this.fail(new AltoError('request_timeout', `No byte of the body came for ${this.idleMs} ms.`));
    }, this.idleMs);
    try {
      for await (const chunk of this.source.iterator({ destroyOnReturn: false })) {
        timer.refresh();
        const bytes = chunk as Buffer;
        size += bytes.length;
        this.count(bytes.length);
        if (size > this.bytesMax) throw this.fail(tooLarge(this.bytesMax));
        yield bytes;
        timer.refresh();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The client's connection is left as it is, so that the answer can say what was wrong. */
  private fail(error: AltoError): AltoError {
    this.failure ??= error;
    this.failed.abort(this.failure);
    return this.failure;
  }
}

/** Ends both sides when one of them stands still for too long. */
async function pump(
  source: Readable,
  sink: ServerResponse,
  idleMs: number,
  signal: AbortSignal,
  count: (bytes: number) => void,
): Promise<void> {
  const timer = setTimeout(() => sink.destroy(), idleMs);
  try {
    for await (const chunk of source) {
      timer.refresh();
      count((chunk as Buffer).length);
      if (!sink.write(chunk)) await once(sink, 'drain', { signal });
    }
    sink.end();
  } catch {
    // The head is sent, so all that can be said is that the content is not whole.
    sink.destroy();
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

function headersOf({ request, callerToken, requestId, traceparent }: Exchange): Record<string, string> {
  return {
    ...pick(request.headers, headersToService),
    [callHeaders.caller]: callerToken,
    [callHeaders.requestId]: requestId,
    [callHeaders.trace]: traceparent,
  };
}

function pick(headers: Record<string, unknown>, names: readonly string[]): Record<string, string> {
  const found = names.map((name) => [name, headers[name]] as const);
  return Object.fromEntries(found.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function tooLarge(bytesMax: number): AltoError {
  return new AltoError('too_large', `The body is larger than ${bytesMax} bytes.`);
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
