/**
 * The typed client of Alto's API, for browsers and Node. Every method derives from the contracts: a new operation is
 * callable as soon as it is declared.
 */
import { type Operation, type OutputOf, type RequestOf, AltoError, operations } from '@alto/contracts';
import { type FollowOptions, type ReceivedEvent, followEvents } from './events';
import { connectionFailure, failureOf } from './failure';
import { type RequestShape, shapeRequest } from './request';
import { type RetryPolicy, retrying } from './retry';

export interface AltoClientOptions {
  /** e.g. `http://127.0.0.1:4000`. */
  baseUrl: string;
  apiKey: string;
  /** In place of the global one: for a unix socket, a proxy, or a test. */
  fetch?: typeof fetch;
  /** For a whole call, retries included; 30 s unless given. Uploads, downloads and events have no limit of their own. */
  timeoutMs?: number;
  retry?: Partial<RetryPolicy>;
}

export interface CallOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
  /**
   * Sent as `Idempotency-Key` with a POST; one is made for each call unless given, so that it can be tried again. None is
   * made for an upload: its content would have to be hashed on the way.
   */
  idempotencyKey?: string;
  /** Changes the resource only while it has this version; fails with `precondition_failed` else. */
  ifMatch?: number;
  /** Creates the resource and never replaces it; for a PUT. */
  ifNoneMatch?: '*';
  /** Answers as if the change were made, and makes none. */
  dryRun?: boolean;
}

export type UploadBody = Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

export interface Download {
  body: ReadableStream<Uint8Array>;
  contentType: string | null;
  /** Null when the service did not say. */
  sizeBytes: number | null;
}

type PageItem<T extends Operation> = OutputOf<T> extends { items: (infer Item)[] } ? Item : never;

class Client {
  private readonly baseUrl: string;
  private readonly policy: RetryPolicy;

  constructor(private readonly options: AltoClientOptions) {
    this.baseUrl = options.baseUrl.replace(/\/+$/, '');
    this.policy = { retriesMax: 3, pauseMs: 100, pauseMaxMs: 2_000, ...options.retry };
    Object.assign(
      this,
      methodsOf((operation, input, more) => this.call(operation, input as never, more)),
    );
  }

  /** @throws AltoError with the code, field and next step that the API gave; the signal's reason when it aborts. */
  async call<T extends Operation>(operation: T, input: RequestOf<T>, options: CallOptions = {}): Promise<OutputOf<T>> {
    expectKind(operation, 'json');
    const shape = shapeRequest(operation, input, { dryRun: options.dryRun === true });
    const headers: Record<string, string> = {
      ...termHeaders(operation, options),
      ...(shape.body && { 'content-type': 'application/json' }),
    };
    const body = shape.body && JSON.stringify(shape.body);
    const timeout = AbortSignal.timeout(options.timeoutMs ?? this.options.timeoutMs ?? 30_000);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    const isRepeatable = operation.idempotent || headers['idempotency-key'] !== undefined;
    const policy = isRepeatable ? this.policy : { ...this.policy, retriesMax: 0 };
    return retrying(policy, signal, async () => {
      const response = await this.send(shape, { headers, body, signal });
      return (await this.read(response, signal)) as OutputOf<T>;
    });
  }

  /**
   * Streams a body to an `upload` operation. A body that can be sent twice (Blob, bytes) is retried like any
   * idempotent call; a stream is sent once. Browsers stream only Blobs.
   */
  async upload<T extends Operation>(
    operation: T,
    input: RequestOf<T>,
    body: UploadBody,
    options: CallOptions & { contentType?: string } = {},
  ): Promise<OutputOf<T>> {
    expectKind(operation, 'upload');
    const shape = shapeRequest(operation, input, { dryRun: options.dryRun === true });
    const { idempotencyKey } = options;
    const headers = {
      'content-type': options.contentType ?? 'application/octet-stream',
      ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
    };
    const signal = signalOf(options);
    const canBeSentAgain = body instanceof Blob || body instanceof Uint8Array;
    const isRepeatable = canBeSentAgain && (operation.idempotent || idempotencyKey !== undefined);
    const policy = isRepeatable ? this.policy : { ...this.policy, retriesMax: 0 };
    return retrying(policy, signal, async () => {
      const payload =
        Symbol.asyncIterator in body && !(body instanceof ReadableStream) ? ReadableStream.from(body) : body;
      const response = await this.send(shape, { headers, body: payload, duplex: 'half', signal });
      return (await this.read(response, signal)) as OutputOf<T>;
    });
  }

  /** The body is read by the caller at its own pace; cancel it or abort the signal to stop early. */
  async download<T extends Operation>(operation: T, input: RequestOf<T>, options: CallOptions = {}): Promise<Download> {
    expectKind(operation, 'download');
    const shape = shapeRequest(operation, input);
    const signal = signalOf(options);
    const response = await retrying(this.policy, signal, () => this.send(shape, { signal }));
    const size = response.headers.get('content-length');
    return {
      body: response.body ?? new Blob([]).stream(),
      contentType: response.headers.get('content-type'),
      sizeBytes: size === null ? null : Number(size),
    };
  }

  /** Every item of a list, page by page; pages are fetched only as they are needed. */
  async *listAll<T extends Operation>(
    operation: T,
    input: RequestOf<T>,
    options: CallOptions = {},
  ): AsyncGenerator<PageItem<T>, void, undefined> {
    let cursor: string | undefined;
    do {
      const page = (await this.call(operation, { ...input, ...(cursor && { cursor }) }, options)) as {
        items: PageItem<T>[];
        nextCursor?: string;
      };
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  /**
   * Events of a project, or of the whole cluster without one, as they happen. Connects again and resumes where it was
   * until the signal aborts; no event is missed, and none is given twice within the last thousands.
   * @throws AltoError when the API refuses: a wrong key, an unknown project.
   */
  follow(options: FollowOptions = {}): AsyncGenerator<ReceivedEvent, void, undefined> {
    return followEvents((shape, init) => this.send(shape, init), this.policy, options);
  }

  private async send(shape: RequestShape, init: RequestInit & { duplex?: 'half' }): Promise<Response> {
    const headers = { accept: 'application/json', ...init.headers, authorization: `Bearer ${this.options.apiKey}` };
    const request = this.options.fetch ?? globalThis.fetch;
    const signal = init.signal ?? new AbortController().signal;
    let response: Response;
    try {
      response = await request(`${this.baseUrl}${shape.target}`, { ...init, method: shape.method, headers, signal });
    } catch (error) {
      throw connectionFailure(error, this.baseUrl, signal);
    }
    if (!response.ok) throw await failureOf(response);
    return response;
  }

  private async read(response: Response, signal: AbortSignal): Promise<unknown> {
    try {
      return await response.json();
    } catch (error) {
      throw connectionFailure(error, this.baseUrl, signal);
    }
  }
}

type Call = (operation: Operation, input: Record<string, unknown>, options?: CallOptions) => Promise<unknown>;

/**
 * `{ apps: { put: (input) => …, … }, … }` for every operation. One that is not called like this (a stream, an operation
 * between services) rejects with what to use instead.
 */
function methodsOf(call: Call): Record<string, Record<string, unknown>> {
  const methods: Record<string, Record<string, unknown>> = {};
  for (const nouns of Object.values(operations)) {
    for (const [noun, verbs] of Object.entries(nouns)) {
      for (const [verb, operation] of Object.entries<Operation>(verbs)) {
        if (operation.http === undefined && methods[noun]?.[verb] !== undefined) continue;
        (methods[noun] ??= {})[verb] = (input: Record<string, unknown> = {}, options?: CallOptions) =>
          call(operation, input, options);
      }
    }
  }
  return methods;
}

type PublicServices = Omit<typeof operations, 'nodeAgent'>;
type UnionToIntersection<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void
  ? I
  : never;
type Nouns = UnionToIntersection<PublicServices[keyof PublicServices]>;
type Methods = {
  [N in keyof Nouns]: {
    [V in keyof Nouns[N]]: Nouns[N][V] extends Operation
      ? (input: RequestOf<Nouns[N][V]>, options?: CallOptions) => Promise<OutputOf<Nouns[N][V]>>
      : never;
  };
};

export type AltoClient = Client & Methods;
export const AltoClient = Client as unknown as new (options: AltoClientOptions) => AltoClient;

function expectKind(operation: Operation, kind: 'json' | 'upload' | 'download'): void {
  const actual = operation.http?.kind ?? 'json';
  if (actual === kind) return;
  const method = { json: 'call', upload: 'upload', download: 'download', events: 'follow' }[actual];
  throw new AltoError('invalid_request', `${operation.name} is called with client.${method}().`);
}

function termHeaders({ http }: Operation, options: CallOptions): Record<string, string> {
  const { idempotencyKey, ifMatch, ifNoneMatch } = options;
  return {
    ...(['POST', 'PATCH'].includes(http?.method ?? '') && { 'idempotency-key': idempotencyKey ?? randomKey() }),
    ...(ifMatch !== undefined && { 'if-match': `"${ifMatch}"` }),
    ...(ifNoneMatch !== undefined && { 'if-none-match': ifNoneMatch }),
  };
}

/** `crypto.randomUUID` is not there on pages that came over plain HTTP. */
function randomKey(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function signalOf(options: CallOptions): AbortSignal {
  const timeout = options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs);
  const signals = [options.signal, timeout].filter((signal) => signal !== undefined);
  return AbortSignal.any(signals);
}
