import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AltoError } from '@alto/contracts';
import {
  acceptTraceparent,
  CallerTokenSigner,
  CONFIG,
  isTracing,
  Lifecycle,
  Log,
  toAltoError,
  traceIdOf,
} from '@alto/platform';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Attempt, Audit } from '../audit/audit.service';
import { AuditLog } from '../audit/audit-log.service';
import type { GatewayConfig } from '../config';
import { EventStreams } from '../events/event-streams';
import { FrontDoor } from '../front/front-door';
import { Access } from '../identity/access';
import { Authenticator } from '../identity/authenticator';
import { RateLimits } from '../limits/rate-limits.service';
import { requestTerms } from '../preconditions/request-terms';
import { kindOf } from '../routing/learned-operation';
import { type OperationRoute, Routes } from '../routing/routes.service';
import { corsHeaders, type CorsOrigins, isPreflight, parseOrigins, preflightHeaders, takesPages } from './cors';
import type { Exchange } from './exchange';
import { JsonCalls } from './json-calls';
import { hasUnreadBody, problemAnswer, sendProblem } from './problem';
import { RequestLog } from './request-log';
import { ServiceStreams } from './service-streams';

type Failed = Pick<Attempt, 'request' | 'operation'>;

interface Trace {
  requestId: string;
  traceparent: string;
}

/**
 * Every request to the API, whichever service it is for: route → key → project and permission → the operation.
 * What comes in as a header is never passed on to a service, other than the few that each kind of operation names.
 */
@Injectable()
export class PublicApi implements OnModuleInit {
  private readonly signer: CallerTokenSigner;
  private readonly corsOrigins: CorsOrigins;
  private readonly underWay = new Set<ServerResponse>();

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly host: HttpAdapterHost,
    private readonly routes: Routes,
    private readonly authenticator: Authenticator,
    private readonly door: FrontDoor,
    private readonly limits: RateLimits,
    private readonly audit: Audit,
    private readonly auditLog: AuditLog,
    private readonly access: Access,
    private readonly calls: JsonCalls,
    private readonly streams: ServiceStreams,
    private readonly events: EventStreams,
    private readonly requests: RequestLog,
    private readonly log: Log,
    private readonly lifecycle: Lifecycle,
  ) {
    lifecycle.onDrain(() => this.announceClose());
    this.corsOrigins = parseOrigins(config.ALTO_CORS_ORIGINS);
    this.signer = new CallerTokenSigner(readFileSync(config.ALTO_CALLER_SIGNING_KEY_FILE, 'utf8'));
  }

  onModuleInit(): void {
    const fastify = this.host.httpAdapter.getInstance<FastifyInstance>();
    fastify.register(async (scope) => {
      // Bodies are left on the socket: what may be read of them, and how, depends on the operation.
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
      scope.setErrorHandler((error, request, reply) =>
        this.fail({ request }, reply, error, newTrace(request, isTracing(this.config))),
      );
      scope.all('/*', (request, reply) => this.handle(request, reply));
    });
  }

  /** Whoever is being answered learns that the next request needs another connection. */
  private announceClose(): void {
    for (const response of this.underWay) if (!response.headersSent) response.setHeader('connection', 'close');
  }

  private async handle(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const trace = newTrace(request, isTracing(this.config));
    const startedAt = performance.now();
    const attempt: Attempt = { request, address: this.door.addressOf(request), ...trace };
    reply.hijack();
    this.underWay.add(reply.raw);
    reply.raw.setHeader('alto-request-id', trace.requestId);
    if (this.lifecycle.draining) reply.raw.setHeader('connection', 'close');
    reply.raw.once('close', () => {
      this.underWay.delete(reply.raw);
      const operation = attempt.operation?.name ?? 'none';
      this.requests.answered(operation, reply.raw.statusCode, performance.now() - startedAt, { ...trace });
    });
    for (const [name, value] of Object.entries(corsHeaders(this.corsOrigins, request.headers)))
      reply.raw.setHeader(name, value);
    try {
      this.requireRoom();
      if (takesPages(this.corsOrigins) && isPreflight(request.method, request.headers))
        return this.answerPreflight(request, reply);
      const url = this.parseUrl(request);
      const { route, parameters } = this.route(request, url.pathname);
      Object.assign(attempt, { operation: route.operation, path: parameters });
      await this.serve(await this.admit(attempt, reply, route, parameters, url.query));
    } catch (error) {
      this.audit.refused(attempt, toAltoError(error));
      this.fail(attempt, reply, error, trace);
    }
  }

  /** Asked without a key, and tells nothing but what the API takes from other origins. */
  private answerPreflight(request: FastifyRequest, reply: FastifyReply): void {
    reply.raw.writeHead(204, preflightHeaders(this.corsOrigins, request.headers)).end();
  }

  private requireRoom(): void {
    const { ALTO_REQUESTS_MAX: max } = this.config;
    if (this.underWay.size <= max) return;
    const message = `This gateway has ${max} requests under way and takes no more for now.`;
    throw new AltoError('overloaded', { message, nextStep: 'Try again shortly.', details: { service: 'gateway' } });
  }

  private parseUrl(request: FastifyRequest): { pathname: string; query: URLSearchParams } {
    const url = request.raw.url ?? '/';
    if (url.length > this.config.ALTO_URL_BYTES_MAX) {
      throw new AltoError('too_large', `The URL is longer than ${this.config.ALTO_URL_BYTES_MAX} bytes.`);
    }
    const end = url.indexOf('?');
    if (end < 0) return { pathname: url, query: new URLSearchParams() };
    return { pathname: url.slice(0, end), query: new URLSearchParams(url.slice(end + 1)) };
  }

  private route(
    request: FastifyRequest,
    pathname: string,
  ): { route: OperationRoute; parameters: Record<string, string> } {
    const match = matchRoute(this.routes, request.method === 'HEAD' ? 'GET' : request.method, pathname);
    if (match.found === 'route') return match;
    if (match.found === 'other-methods') {
      const allowed = match.allowed.join(', ');
      throw new AltoError('method_not_allowed', {
        message: `${request.method} is not known here.`,
        nextStep: `Use ${allowed}.`,
        details: { allowed },
      });
    }
    throw new AltoError('not_found', {
      message: 'There is no such path.',
      nextStep: 'GET /v1/openapi.json describes every path; /docs shows them.',
    });
  }

  private async admit(
    attempt: Attempt,
    reply: FastifyReply,
    { operation }: OperationRoute,
    parameters: Record<string, string>,
    query: URLSearchParams,
  ): Promise<Exchange> {
    const { request, address, requestId, traceparent } = attempt;
    const principal = await this.authenticator.authenticate(request.headers.authorization);
    attempt.principal = principal;
    await this.limits.admitPrincipal(principal, reply.raw);
    const caller = await this.access.grant(principal, operation.permission, parameters['project']);
    const path = parameters['project'] === undefined ? parameters : { ...parameters, project: caller.project ?? '' };
    const who = { caller, keyName: principal.keyName, callerToken: this.signer.sign(caller), address };
    const asked = requestTerms(operation, request.headers, query);
    attempt.exchange = { request, reply, operation, path, ...who, ...asked, requestId, traceparent };
    return attempt.exchange;
  }

  private serve(exchange: Exchange): Promise<void> {
    const { operation } = exchange;
    switch (kindOf(operation)) {
      case 'json':
        return this.calls.serve(exchange);
      case 'events':
        return this.events.serve(exchange);
      case 'upload':
        return this.streams.serve(exchange);
      case 'download':
        return operation.service === 'gateway' ? this.auditLog.export(exchange) : this.streams.serve(exchange);
    }
  }

  private fail({ request, operation }: Failed, reply: FastifyReply, thrown: unknown, trace: Trace): void {
    const { requestId, traceparent } = trace;
    const error = toAltoError(thrown);
    const traceId = traceIdOf(traceparent);
    if (error.code === 'internal' && error !== thrown) {
      this.log.error('A request failed in an undeclared way', { error: thrown, requestId, traceId });
    }
    const answer = problemAnswer(error, traceId);
    if (hasUnreadBody(request.raw)) answer.headers['connection'] = 'close';
    if (!reply.sent) reply.hijack();
    const isUpload = operation !== undefined && kindOf(operation) === 'upload';
    sendProblem(reply.raw, answer, isUpload ? request.raw : undefined);
  }
}

function newTrace(request: FastifyRequest, isRecorded: boolean): Trace {
  const given = request.headers['traceparent'];
  const traceparent = acceptTraceparent(typeof given === 'string' ? given : undefined, isRecorded);
  return { requestId: globalThis.crypto.randomUUID(), traceparent };
}

function matchRoute(routes: Routes, method: string, pathname: string): ReturnType<Routes['match']> {
  try {
    return routes.match(method, pathname);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw new AltoError('invalid_request', 'The path is not valid percent-encoded UTF-8.');
  }
}
