import { Controller, Get, Header, Inject, Req, Res } from '@nestjs/common';
import { CONFIG } from '@alto/platform';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GatewayConfig } from '../config';
import { corsHeaders, type CorsOrigins, parseOrigins } from '../http/cors';
import { Routes } from '../routing/routes.service';
import { buildDocument, type OpenApiDocument } from './openapi';

/** The description of every operation that is routed, for anybody. */
@Controller()
export class OpenApiController {
  private readonly corsOrigins: CorsOrigins;
  private cached: { generation: number; document: OpenApiDocument } | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly routes: Routes,
  ) {
    this.corsOrigins = parseOrigins(config.ALTO_CORS_ORIGINS);
  }

  @Get('/v1/openapi.json')
  @Header('cache-control', 'no-cache')
  @Header('x-content-type-options', 'nosniff')
  document(@Req() { headers }: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): OpenApiDocument {
    reply.headers(corsHeaders(this.corsOrigins, headers));
    const { generation } = this.routes;
    if (this.cached?.generation !== generation) {
      const document = buildDocument(this.routes.operations, this.config.ALTO_SERVICE_VERSION);
      this.cached = { generation, document };
    }
    return this.cached.document;
  }
}
