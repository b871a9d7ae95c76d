import { Controller, Get, Header, Inject } from '@nestjs/common';
import { CONFIG } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { Routes } from '../routing/routes.service';
import { buildDocument, type OpenApiDocument } from './openapi';

/** The description of every operation that is routed, for anybody. */
@Controller()
export class OpenApiController {
  private cached: { generation: number; document: OpenApiDocument } | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly routes: Routes,
  ) {}

  @Get('/v1/openapi.json')
  @Header('cache-control', 'no-cache')
  @Header('x-content-type-options', 'nosniff')
  document(): OpenApiDocument {
    const { generation } = this.routes;
    if (this.cached?.generation !== generation) {
      const document = buildDocument(this.routes.operations, this.config.ALTO_SERVICE_VERSION);
      this.cached = { generation, document };
    }
    return this.cached.document;
  }
}
