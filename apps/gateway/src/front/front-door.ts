import type { BlockList } from 'node:net';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { acceptTraceparent, CONFIG, safeHeaders, toAltoError, traceIdOf } from '@alto/platform';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GatewayConfig } from '../config';
import { hasUnreadBody, problemAnswer, sendProblem } from '../http/problem';
import { RateLimits } from '../limits/rate-limits.service';
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
    try {
      await this.limits.admitAddress(this.addressOf(request), reply.raw);
    } catch (error) {
      const answer = problemAnswer(toAltoError(error), traceIdOf(acceptTraceparent(undefined)));
      if (hasUnreadBody(request.raw)) answer.headers['connection'] = 'close';
      reply.hijack();
      sendProblem(reply.raw, answer);
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
