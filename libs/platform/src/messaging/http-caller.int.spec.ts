/** Uploads and downloads: the caller is checked as for operations over NATS. */
import { Controller, Get, Module, Post, Req, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { newId, operation, type Role } from '@alto/contracts';
import { callerSigner, newCallerKeys, silentLog } from '@alto/testing';
import { z } from 'zod';
import { ProblemFilter } from '../service/problem.filter';
import { currentCall, traceIdOfCall } from './call-context';
import { CallerTokenVerifier } from './caller-token';
import { Operates } from './handles';
import { HttpCallerGuard, type OperationRequest } from './http-caller.guard';

const upload = operation({
  service: 'storage',
  noun: 'files',
  verb: 'upload',
  version: 1,
  summary: 'For tests',
  http: { method: 'POST', path: '/v1/projects/{project}/files', kind: 'upload', query: ['size'] },
  permission: 'bundles.write',
  callers: ['gateway'],
  input: z.strictObject({ project: z.string(), size: z.coerce.number().int() }),
  output: z.object({}),
  errors: [],
  idempotent: true,
});

const keys = newCallerKeys();
const project = newId('project');

@Controller()
class FilesController {
  @Post('/v1/projects/:project/files')
  @UseGuards(HttpCallerGuard)
  @Operates(upload)
  upload(@Req() { call, operationInput }: OperationRequest<typeof upload>) {
    const inCall = currentCall() === call;
    return {
      input: operationInput,
      caller: call.caller.id,
      requestId: call.requestId,
      traceId: traceIdOfCall(),
      terms: call.terms,
      inCall,
    };
  }

  @Get('/unguarded')
  @UseGuards(HttpCallerGuard)
  unguarded(): string {
    return 'never';
  }
}

@Module({
  controllers: [FilesController],
  providers: [{ provide: CallerTokenVerifier, useValue: new CallerTokenVerifier(keys.publicKeys) }, HttpCallerGuard],
})
class FilesModule {}

let app: NestFastifyApplication;
let url: string;

beforeAll(async () => {
  app = await NestFactory.create<NestFastifyApplication>(FilesModule, new FastifyAdapter(), { logger: false });
  app.useGlobalFilters(new ProblemFilter(silentLog(), traceIdOfCall));
  await app.listen(0, '127.0.0.1');
  url = await app.getUrl();
});

afterAll(() => app.close());

const token = (role: Role, id = project) =>
  callerSigner(keys).sign({ id: 'key_1', role, project: id, projectName: 'shop' });

async function post(path: string, headers: Record<string, string>) {
  const response = await fetch(`${url}${path}`, { method: 'POST', headers });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

it('a caller with the permission gets in, with the input validated', async () => {
  const answer = await post(`/v1/projects/${project}/files?size=5`, {
    'Alto-Caller': token('developer'),
    'Alto-Request-Id': 'req-1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
  });
  expect(answer.body).toEqual({
    input: { project, size: 5 },
    caller: 'key_1',
    requestId: 'req-1',
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    terms: {},
    inCall: true,
  });
});

it('hands on the terms of the call, and lets none pass that cannot be read', async () => {
  const path = `/v1/projects/${project}/files?size=5`;
  const caller = { 'Alto-Caller': token('developer') };
  const trial = await post(path, { ...caller, 'Alto-Dry-Run': 'true', 'Alto-Once': 'a'.repeat(64) });
  expect(trial.body['terms']).toEqual({ dryRun: true, onceKey: 'a'.repeat(64) });
  expect(await post(path, { ...caller, 'Alto-Dry-Run': 'yes' })).toMatchObject({ status: 400 });
});

it.each([
  ['no token', 'size=5', {}, 401, 'unauthenticated'],
  ['a forged token', 'size=5', { 'Alto-Caller': 'a.b.c' }, 401, 'unauthenticated'],
  ['a role without the permission', 'size=5', { 'Alto-Caller': token('viewer') }, 403, 'forbidden'],
  ["another project's token", 'size=5', { 'Alto-Caller': token('developer', newId('project')) }, 404, 'not_found'],
  ['an invalid query', 'size=much', { 'Alto-Caller': token('developer') }, 400, 'invalid_request'],
  ['a field that is not known', 'size=5&more=1', { 'Alto-Caller': token('developer') }, 400, 'invalid_request'],
])('%s is refused', async (_what, query, headers, status, code) => {
  const answer = await post(`/v1/projects/${project}/files?${query}`, headers as Record<string, string>);
  expect(answer).toMatchObject({ status, body: { code } });
});

it('a route that names no operation lets nobody in', async () => {
  expect((await fetch(`${url}/unguarded`)).status).toBe(500);
});
