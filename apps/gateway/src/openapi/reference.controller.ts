import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Controller, Get, Param, Redirect, Res } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import type { FastifyReply } from 'fastify';

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Alto API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
`;

const start = `SwaggerUIBundle({
  url: '/v1/openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
});
`;

/** Swagger UI sets styles on its elements and draws its icons from data URLs; scripts come from here alone. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The API reference: Swagger UI, served from here so that it works without the internet. */
@Controller()
export class ReferenceController {
  private readonly files = new Map<string, { type: string; content: string | Buffer }>([
    ['start.js', { type: 'text/javascript; charset=utf-8', content: start }],
  ]);

  @Get('/')
  @Redirect('/docs', 302)
  home(): void {}

  @Get('/docs')
  page(@Res() reply: FastifyReply): void {
    answer(reply, 'text/html; charset=utf-8', page);
  }

  @Get('/docs/:file')
  file(@Param('file') name: string, @Res() reply: FastifyReply): void {
    const { type, content } = this.files.get(name) ?? this.load(name);
    answer(reply, type, content);
  }

  private load(name: string): { type: string; content: Buffer } {
    const type = {
      'swagger-ui.css': 'text/css; charset=utf-8',
      'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
    }[name];
    if (type === undefined) throw new AltoError('not_found', 'There is no such file.');
    const file = { type, content: readFileSync(join(swaggerFolder(), name)) };
    this.files.set(name, file);
    return file;
  }
}

function answer(reply: FastifyReply, type: string, content: string | Buffer): void {
  void reply
    .header('content-type', type)
    .header('content-security-policy', policy)
    .header('referrer-policy', 'no-referrer')
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-cache')
    .send(content);
}

/** Beside the bundle in a release (`alto.assetPackages` of package.json), else where npm put it. */
function swaggerFolder(): string {
  const released = fileURLToPath(new URL('./assets/swagger-ui-dist', import.meta.url));
  if (existsSync(released)) return released;
  return dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
}
