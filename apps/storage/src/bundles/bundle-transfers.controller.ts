import { Controller, Get, HttpCode, type OnModuleInit, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { AltoError, type Bundle, idOf, invalidRequest, storageOperations } from '@alto/contracts';
import { HttpCallerGuard, Operates, type OperationRequest } from '@alto/platform';
import { BundleContentService, type Content } from './bundle-content.service';
import { BundlesService } from './bundles.service';
import { UploadStream } from './upload-stream';

const { upload, download } = storageOperations.bundles;

const addressSchema = z.object({
  blob: idOf('blob'),
  expires: z.coerce.number().int(),
  key: z.string().max(100),
  signature: z.string().max(200),
});

/** The streams: bytes go over this service's own HTTP host, never through NATS. */
@Controller()
export class BundleTransfersController implements OnModuleInit {
  constructor(
    private readonly bundles: BundlesService,
    private readonly content: BundleContentService,
    private readonly uploads: UploadStream,
    private readonly host: HttpAdapterHost,
  ) {}

  /** Bodies that are no JSON are left unread for the route to stream. */
  onModuleInit(): void {
    const fastify = this.host.httpAdapter.getInstance<FastifyInstance>();
    fastify.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  }

  @Post('v1/projects/:project/bundles')
  @HttpCode(201)
  @UseGuards(HttpCallerGuard)
  @Operates(upload)
  async upload(
    @Req() request: OperationRequest<typeof upload>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Bundle> {
    const { project, sha256 } = request.operationInput;
    if (!(request.body instanceof IncomingMessage)) throw noArchive();
    const body = request.body;
    try {
      const bundle = await this.bundles.upload(project, sha256, this.uploads.of(body), request.call);
      reply.header('etag', `"${bundle.version}"`);
      return bundle;
    } finally {
      // What a refused client still sends is thrown away, so that it gets to read the answer.
      body.resume();
    }
  }

  @Get('v1/projects/:project/bundles/:bundle/content')
  @UseGuards(HttpCallerGuard)
  @Operates(download)
  async download(@Req() request: OperationRequest<typeof download>, @Res() reply: FastifyReply): Promise<void> {
    const { project, bundle } = request.operationInput;
    await send(reply, await this.content.ofBundle(project, bundle));
  }

  /** Where `bundles.locate` points to: the address itself is the permission. */
  @Get('v1/blobs/:blob/content')
  async fetch(@Param() path: object, @Query() query: object, @Res() reply: FastifyReply): Promise<void> {
    const parsed = addressSchema.safeParse({ ...query, ...path });
    if (!parsed.success) throw invalidRequest(parsed.error);
    const { blob, expires: expiresAtMs, key, signature } = parsed.data;
    await send(reply, await this.content.ofAddress({ blob, expiresAtMs, key, signature }));
  }
}

async function send(reply: FastifyReply, { stream, sizeBytes, sha256 }: Content): Promise<void> {
  await reply
    .header('content-type', 'application/gzip')
    .header('content-length', sizeBytes)
    .header('etag', `"${sha256}"`)
    .send(stream);
}

function noArchive(): AltoError {
  return new AltoError('unsupported_media_type', {
    message: 'The body must be a tar.gz archive, sent as application/gzip.',
    field: 'content-type',
    nextStep: 'Send it with Content-Type: application/gzip.',
  });
}
