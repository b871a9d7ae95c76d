/**
 * A load client that counts every request that failed. It speaks HTTP/1.1 over raw sockets, because a client library
 * would try again what failed and hide it, and costs a multiple of CPU.
 */
import { connect, type Socket } from 'node:net';

export interface LoadOptions {
  /** `http://127.0.0.1:8080/path`. */
  readonly url: string;
  /** Host header; that of the URL unless given. */
  readonly host?: string;
  readonly connections: number;
  /** One connection for many requests, or a fresh one for each. */
  readonly keepAlive: boolean;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Requests in a second over all connections, at most; as fast as they are answered unless given. */
  readonly rate?: number;
  /** A request without a whole answer after this long has failed; 10 s unless given. */
  readonly timeoutMs?: number;
  /** Which instance answered; the body unless given. */
  readonly instanceOf?: (response: LoadResponse) => string;
  /** Whether an answer is right; the status is below 500 unless given. */
  readonly isRight?: (response: LoadResponse) => boolean;
}

export interface LoadResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface LoadReport {
  readonly requests: number;
  readonly failed: number;
  /** What failed how often, e.g. `reset: 3`, `status 503: 2`. */
  readonly failures: Readonly<Record<string, number>>;
  /** Instance → right answers. */
  readonly instances: Readonly<Record<string, number>>;
  readonly perSecond: number;
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number };
}

export interface LoadClient {
  /** What has been counted so far. */
  report(): LoadReport;
  /** Forgets what has been counted so far. */
  reset(): void;
  /** Finishes the requests under way and ends. */
  stop(): Promise<LoadReport>;
}

const defaultTimeoutMs = 10_000;
const latenciesMax = 1_000_000;
const pauseAfterFailureMs = 5;

/** Starts at once and goes on until `stop`. */
export function loadClient(options: LoadOptions): LoadClient {
  const counts = new Counts();
  const request = requestText(options);
  const pace = new Pace(options.rate);
  let stopping = false;
  const run = async () => {
    const connection = new Connection(options, request);
    while (!stopping) {
      await pace.turn();
      if (stopping) break;
      const startedAt = performance.now();
      const outcome = await connection.request();
      counts.add(options, outcome, performance.now() - startedAt);
      if (typeof outcome === 'string') await pause(pauseAfterFailureMs);
    }
    connection.close();
  };
  const running = Array.from({ length: options.connections }, run);
  return {
    report: () => counts.report(),
    reset: () => counts.reset(),
    async stop() {
      stopping = true;
      await Promise.all(running);
      return counts.report();
    },
  };
}

/** A response, or in a word why there is none. */
type Outcome = LoadResponse | string;

class Counts {
  private requests = 0;
  private failures: Record<string, number> = {};
  private instances: Record<string, number> = {};
  private latencies: number[] = [];
  private since = performance.now();

  reset(): void {
    this.requests = 0;
    this.failures = {};
    this.instances = {};
    this.latencies = [];
    this.since = performance.now();
  }

  add({ isRight, instanceOf }: LoadOptions, outcome: Outcome, latencyMs: number): void {
    this.requests++;
    if (this.latencies.length < latenciesMax) this.latencies.push(latencyMs);
    const failure = failureOf(outcome, isRight);
    if (failure !== undefined) {
      this.failures[failure] = (this.failures[failure] ?? 0) + 1;
    } else {
      const response = outcome as LoadResponse;
      const instance = instanceOf === undefined ? response.body : instanceOf(response);
      this.instances[instance] = (this.instances[instance] ?? 0) + 1;
    }
  }

  report(): LoadReport {
    const sorted = Float64Array.from(this.latencies).sort();
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return {
      requests: this.requests,
      failed: Object.values(this.failures).reduce((sum, count) => sum + count, 0),
      failures: { ...this.failures },
      instances: { ...this.instances },
      perSecond: Math.round((this.requests / (performance.now() - this.since)) * 1_000),
      latencyMs: { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? 0 },
    };
  }
}

function failureOf(outcome: Outcome, isRight: LoadOptions['isRight']): string | undefined {
  if (typeof outcome === 'string') return outcome;
  if (outcome.status >= 500) return `status ${outcome.status}`;
  return isRight === undefined || isRight(outcome) ? undefined : `wrong answer, status ${outcome.status}`;
}

/** Spreads requests evenly over time. */
class Pace {
  private nextAt = performance.now();

  constructor(private readonly rate: number | undefined) {}

  async turn(): Promise<void> {
    if (this.rate === undefined) return;
    const now = performance.now();
    const at = Math.max(this.nextAt, now - 100);
    this.nextAt = at + 1_000 / this.rate;
    if (at > now) await pause(at - now);
  }
}

/** One connection at a time, one request at a time on it. */
class Connection {
  private socket: Socket | undefined;
  private reader = new ResponseReader();
  private waiting: ((outcome: Outcome) => void) | undefined;
  /** The server may close the connection from then on. */
  private closesAt = Infinity;
  private readonly target: { host: string; port: number };

  constructor(
    private readonly options: LoadOptions,
    private readonly text: string,
  ) {
    const url = new URL(options.url);
    this.target = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 80) };
  }

  async request(): Promise<Outcome> {
    const outcome = new Promise<Outcome>((resolve) => (this.waiting = resolve));
    const timer = setTimeout(() => this.finish('timeout'), this.options.timeoutMs ?? defaultTimeoutMs);
    this.reader = new ResponseReader();
    if (performance.now() >= this.closesAt) this.close();
    this.socket ??= this.open();
    this.socket.write(this.text);
    const result = await outcome;
    clearTimeout(timer);
    const reusable =
      typeof result !== 'string' && this.options.keepAlive && result.headers.get('connection') !== 'close';
    if (reusable) this.closesAt = performance.now() + idleMsOf(result);
    else this.close();
    return result;
  }

  close(): void {
    this.socket?.destroy();
    this.socket = undefined;
  }

  private open(): Socket {
    const socket = connect({ ...this.target, noDelay: true });
    const current = (then: () => void) => () => {
      if (this.socket === socket) then();
    };
    socket.on('data', (chunk: Buffer) => {
      if (this.socket !== socket) return;
      const response = this.reader.push(chunk);
      if (response !== undefined) this.finish(response);
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      current(() => this.finish(error.code === 'ECONNREFUSED' ? 'refused' : 'reset'))(),
    );
    socket.on(
      'close',
      current(() => {
        this.socket = undefined;
        this.finish(this.reader.end() ?? 'closed without an answer');
      }),
    );
    return socket;
  }

  private finish(outcome: Outcome): void {
    const waiting = this.waiting;
    this.waiting = undefined;
    waiting?.(outcome);
  }
}

/** How long a connection may be idle by `Keep-Alive: timeout=3`, less a second for the way, as other clients have it. */
function idleMsOf({ headers }: LoadResponse): number {
  const seconds = /timeout=(\d+)/.exec(headers.get('keep-alive') ?? '')?.[1];
  return seconds === undefined ? Infinity : (Number(seconds) - 1) * 1_000;
}

/** Reads one response: by its length, by chunks, or to the end of the connection. */
class ResponseReader {
  private text = '';
  private head: { status: number; headers: Map<string, string>; bodyAt: number } | undefined;

  /** @returns the response once it is whole */
  push(chunk: Buffer): LoadResponse | undefined {
    // Latin-1 keeps one character a byte, so that lengths are right.
    this.text += chunk.toString('latin1');
    this.head ??= this.readHead();
    if (this.head === undefined) return undefined;
    const { status, headers, bodyAt } = this.head;
    const length = headers.get('content-length');
    if (length !== undefined) {
      if (this.text.length < bodyAt + Number(length)) return undefined;
      return { status, headers, body: this.text.slice(bodyAt, bodyAt + Number(length)) };
    }
    if (headers.get('transfer-encoding') === 'chunked') {
      const body = readChunks(this.text, bodyAt);
      return body === undefined ? undefined : { status, headers, body };
    }
    return status === 204 || status === 304 ? { status, headers, body: '' } : undefined;
  }

  /** The connection has ended. @returns a response whose end that is */
  end(): LoadResponse | undefined {
    if (this.head === undefined) return undefined;
    const { status, headers, bodyAt } = this.head;
    if (headers.has('content-length') || headers.has('transfer-encoding')) return undefined;
    return { status, headers, body: this.text.slice(bodyAt) };
  }

  private readHead(): { status: number; headers: Map<string, string>; bodyAt: number } | undefined {
    const end = this.text.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    const [statusLine = '', ...lines] = this.text.slice(0, end).split('\r\n');
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    return { status: Number(statusLine.slice(9, 12)), headers, bodyAt: end + 4 };
  }
}

function readChunks(text: string, from: number): string | undefined {
  let body = '';
  for (let at = from; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const length = Number.parseInt(text.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + length + 2;
    if (text.length < end) return undefined;
    if (length === 0) return body;
    body += text.slice(lineEnd + 2, end - 2);
    at = end;
  }
}

function requestText(options: LoadOptions): string {
  const url = new URL(options.url);
  const body = options.body ?? '';
  const lines = [
    `${options.method ?? 'GET'} ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${options.host ?? url.host}`,
    ...Object.entries(options.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
    ...(options.body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    ...(options.keepAlive ? [] : ['Connection: close']),
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
