/**
 * The HTTP host that every service has: health, readiness, metrics, streams and, in the gateway, the public API.
 * It stops as a lame duck: not ready first, so that a load balancer turns away, then no new connections, then no requests.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { rm } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AltoError, toProblem } from '@alto/contracts';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ServiceConfig } from './config';
import { Health } from './health';
import { Lifecycle } from './lifecycle';
import { Metrics } from './metrics';
import { hasNeedlessBody, oddityOf } from './odd-request';
import { toAltoError } from './problem.filter';

/** Longer than the load balancer keeps an idle connection, so that it is never this side that closes one just as it is used. */
const keepAliveMs = 75_000;
/** How often slow clients are looked for; Node does every 30 s. */
const slowClientsEveryMs = 1_000;
const bodyBytesMax = 1_048_576;
/** While it stops. */
const sweepEveryMs = 100;
const headBytesMax = 32_768;

/** For answers that no page is meant to embed, run or guess the type of. */
export const safeHeaders = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

export function createHttpAdapter({ ALTO_HTTP_HEAD_TIMEOUT_MS: headersTimeout }: ServiceConfig): FastifyAdapter {
  return new FastifyAdapter({
    bodyLimit: bodyBytesMax,
    keepAliveTimeout: keepAliveMs,
    // Closing is done by HttpHost; answering 503 on living connections meanwhile would fail requests for nothing.
    return503OnClosing: false,
    forceCloseConnections: false,
    // How long a parameter may be is its operation's to say, which names it; the head as a whole has a bound.
    routerOptions: { maxParamLength: headBytesMax },
    http: { headersTimeout, maxHeaderSize: headBytesMax, connectionsCheckingInterval: slowClientsEveryMs },
    // Before any route is found, e.g. for a path that is no text.
    frameworkErrors: (error: Error, _request: unknown, { raw }: { raw: ServerResponse }) =>
      refuse(raw, toAltoError(error)),
  });
}

export class HttpHost {
  private socketServer: Server | undefined;
  private readonly connections = new Set<Socket>();
  /** What else came over them is not looked at: it may be the end of what was refused. */
  private readonly refused = new WeakSet<Duplex>();
  private readonly latestAnswers = new WeakMap<Duplex, ServerResponse>();
  private listeningUrl: string | undefined;

  constructor(
    private readonly app: NestFastifyApplication,
    private readonly config: ServiceConfig,
    private readonly lifecycle: Lifecycle,
    private readonly health: Health,
    private readonly metrics: Metrics,
  ) {}

  /** URL at which other services reach this host. */
  get url(): string {
    if (this.listeningUrl === undefined) throw new Error('The HTTP host does not listen yet');
    return this.config.ALTO_ADVERTISED_URL ?? this.listeningUrl;
  }

  /** Adds the routes of the platform; call before the application is initialised. */
  prepare(): void {
    const fastify = this.fastify;
    fastify.addHook('onRequest', async ({ raw }, reply) => this.readStrictly(raw, reply));
    fastify.addHook('onSend', async (_request, reply) => {
      if (this.lifecycle.draining) reply.header('connection', 'close');
    });
    fastify.get('/healthz', async () => ({ status: 'ok' }));
    fastify.get('/readyz', async (_request, reply) => {
      const report = this.health.report();
      return reply.status(report.ready ? 200 : 503).send(report);
    });
    fastify.get('/metrics', async (request, reply) => {
      // The load balancer sets this header on whatever comes from outside: metrics are for this side of it alone.
      if (request.headers['x-forwarded-for'] !== undefined) throw noSuchPath();
      reply.header('content-type', this.metrics.registry.contentType);
      return this.metrics.registry.metrics();
    });
  }

  async listen(): Promise<void> {
    const { ALTO_HTTP_HOST: host, ALTO_HTTP_PORT: port, ALTO_HTTP_SOCKET: socket } = this.config;
    this.watch(this.fastify.server);
    await this.app.listen(port, host);
    const address = this.fastify.server.address() as AddressInfo;
    this.listeningUrl = `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
    if (socket !== undefined) await this.listenOnSocket(socket);
  }

  /** @param fronted a load balancer watches `/readyz` and needs time to turn away */
  async stop(fronted: boolean): Promise<void> {
    if (fronted) await delay(this.config.ALTO_LAME_DUCK_MS);
    const servers = [this.fastify.server, ...(this.socketServer === undefined ? [] : [this.socketServer])];
    const closed = Promise.all(servers.map((server) => closeServer(server, this.connections)));
    const forced = new AbortController();
    const force = delay(this.config.ALTO_SHUTDOWN_TIMEOUT_MS, undefined, { signal: forced.signal })
      .then(() => servers.forEach((server) => server.closeAllConnections()))
      .catch(() => undefined);
    await closed;
    forced.abort();
    await force;
  }

  private get fastify(): FastifyInstance {
    return this.app.getHttpAdapter().getInstance() as unknown as FastifyInstance;
  }

  private readStrictly(request: IncomingMessage, reply: FastifyReply): void {
    if (hasNeedlessBody(request)) reply.raw.setHeader('connection', 'close');
    if (this.refused.has(request.socket)) return void reply.hijack();
    const oddity = oddityOf(request);
    if (oddity === undefined) return;
    reply.hijack();
    this.refused.add(request.socket);
    reply.raw.setHeader('connection', 'close');
    refuse(reply.raw, new AltoError('invalid_request', oddity));
  }

  private watch(server: Server): void {
    server.on('connection', (connection: Socket) => {
      this.connections.add(connection);
      connection.once('close', () => this.connections.delete(connection));
    });
    server.on('request', ({ socket }, response) => this.latestAnswers.set(socket, response));
    server.removeAllListeners('clientError');
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.answerBroken(error, socket));
  }

  /** What is not HTTP, or too much of it, never becomes a request: Node tells of it on the socket. */
  private answerBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const latest = this.latestAnswers.get(socket);
    // A second answer would be taken for that of the next request.
    if (latest !== undefined && latest.headersSent && !latest.closed) return void socket.end();
    const problem = toProblem(brokenRequest(error.code));
    const body = JSON.stringify(problem);
    const lines = { ...problemHeaders, 'content-length': Buffer.byteLength(body), connection: 'close' };
    const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${problem.status} Refused\r\n${head.join('')}\r\n${body}`);
  }

  private async listenOnSocket(path: string): Promise<void> {
    const { fastify } = this;
    await rm(path, { force: true });
    const server = createServer(
      {
        keepAliveTimeout: keepAliveMs,
        headersTimeout: this.config.ALTO_HTTP_HEAD_TIMEOUT_MS,
        requestTimeout: 0,
        maxHeaderSize: headBytesMax,
        connectionsCheckingInterval: slowClientsEveryMs,
      },
      (request, response) => fastify.routing(request, response),
    );
    this.socketServer = server;
    this.watch(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path, writableAll: false, readableAll: false }, resolve);
    });
  }
}

const problemHeaders = { ...safeHeaders, 'cache-control': 'no-store', 'content-type': 'application/problem+json' };

function refuse(response: ServerResponse, error: AltoError): void {
  const problem = toProblem(error);
  response.writeHead(problem.status, problemHeaders).end(JSON.stringify(problem));
}

function brokenRequest(code: string | undefined): AltoError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new AltoError('headers_too_large', 'The request has too many or too long headers.');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new AltoError('request_timeout', 'The request did not arrive in time.');
  return new AltoError('invalid_request', 'This is not a valid HTTP request.');
}

function noSuchPath(): AltoError {
  return new AltoError('not_found', 'There is no such path.');
}

/** Accepts no more connections, and ends each as soon as nothing is under way on it. */
function closeServer(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    const sweep = setInterval(() => {
      server.closeIdleConnections();
      // Opened in advance, as browsers do, and never used: Node takes such a connection for busy.
      for (const connection of connections) if (connection.bytesRead === 0) connection.destroy();
    }, sweepEveryMs);
    server.close(() => {
      clearInterval(sweep);
      resolve();
    });
    server.closeIdleConnections();
  });
}
