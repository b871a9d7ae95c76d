import { randomUUID } from 'node:crypto';
import type { BlockList } from 'node:net';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { acceptTraceparent, CONFIG, safeHeaders, toAltoError, traceIdOf } from '@alto/platform';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Attempt, Audit } from '../audit/audit.service';
import type { GatewayConfig } from '../config';
import { hasUnreadBody, problemAnswer, sendProblem } from '../http/problem';
import { RateLimits } from '../limits/rate-limits.service';
import { Routes } from '../routing/routes.service';
import { clientAddress, parseRanges } from './client-address';

/** Asked by the load balancer and the agent, often, and answered from memory. */
const unlimited: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);
const forceTlsSeconds = 31_536_000;

/** What holds for every request to this gateway, whoever answers it: the address's limit, and headers for safety. */
@Injectable()
export class FrontDoor implements OnModuleInit {
  private readonly trusted: BlockList;

  constructor(
    @Inject(CONFIG) config: GatewayConfig,
    private readonly host: HttpAdapterHost,
    private readonly limits: RateLimits,
    private readonly routes: Routes,
    private readonly audit: Audit,
  ) {
    this.trusted = parseRanges(config.ALTO_TRUSTED_PROXIES);
  }

  onModuleInit(): void {
    const fastify = this.host.httpAdapter.getInstance<FastifyInstance>();
    fastify.addHook('onRequest', (request, reply) => this.enter(request, reply));
  }

  /** Where the request comes from, as far as that can be believed. */
  addressOf(request: FastifyRequest): string {
    return clientAddress(request.raw.socket.remoteAddress, request.headers['x-forwarded-for'], this.trusted);
  }

  private async enter(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    this.protect(request, reply);
    if (unlimited.has(request.raw.url ?? '')) return;
    const address = this.addressOf(request);
    try {
      await this.limits.admitAddress(address, reply.raw);
    } catch (error) {
      const refusal = toAltoError(error);
      const traceparent = acceptTraceparent(undefined);
      this.audit.refused({ ...this.meant(request), request, address, requestId: randomUUID(), traceparent }, refusal);
      const answer = problemAnswer(refusal, traceIdOf(traceparent));
      if (hasUnreadBody(request.raw)) answer.headers['connection'] = 'close';
      reply.hijack();
      sendProblem(reply.raw, answer);
    }
  }

  /** What the request would have been; of no other use than to be written down. */
  private meant({ method, raw }: FastifyRequest): Pick<Attempt, 'operation' | 'path'> {
    try {
      const match = this.routes.match(method, (raw.url ?? '').split('?', 1)[0] ?? '');
      return match.found === 'route' ? { operation: match.route.operation, path: match.parameters } : {};
    } catch {
      return {};
    }
  }

  /** Answers of the API say more; these are for all others, too. */
  private protect(request: FastifyRequest, { raw }: FastifyReply): void {
    for (const [name, value] of Object.entries(safeHeaders)) raw.setHeader(name, value);
    if (this.cameByTls(request)) raw.setHeader('strict-transport-security', `max-age=${forceTlsSeconds}`);
  }

  private cameByTls(request: FastifyRequest): boolean {
    const isProxied = this.addressOf(request) !== request.raw.socket.remoteAddress;
    return isProxied && request.headers['x-forwarded-proto'] === 'https';
  }
}
