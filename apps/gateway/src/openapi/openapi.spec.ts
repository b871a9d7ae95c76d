import { computeOperations, gatewayOperations, type Operation, storageOperations, takesDryRun } from '@alto/contracts';
import { Validator } from '@seriousme/openapi-schema-validator';
import { z } from 'zod';
import { type LearnedOperation, learnedOperationSchema } from '../routing/learned-operation';
import { buildDocument } from './openapi';

const learn = (operation: Operation): LearnedOperation =>
  learnedOperationSchema.parse({
    ...operation,
    dryRun: takesDryRun(operation) || undefined,
    input: z.toJSONSchema(operation.input, { io: 'input', unrepresentable: 'any' }),
    output: z.toJSONSchema(operation.output, { io: 'output', unrepresentable: 'any' }),
  });

const describeOne = (operation: Operation) => {
  const { path = '', method = 'GET' } = operation.http ?? {};
  return buildDocument([learn(operation)], '1.0.0').paths[path]?.[method.toLowerCase()] as Record<string, unknown>;
};

describe('buildDocument', () => {
  it('puts path, query and body where the gateway reads them', () => {
    const { responses: _, ...revoke } = describeOne(gatewayOperations.keys.revoke);
    expect(revoke).toEqual({
      operationId: 'gateway.keys.revoke',
      tags: ['gateway'],
      summary: 'Revoke an API key at once and for good',
      'x-alto-permission': 'keys.write',
      'x-alto-idempotent': true,
      parameters: [
        {
          name: 'project',
          in: 'path',
          required: true,
          schema: expect.objectContaining({ type: 'string', maxLength: 40 }),
        },
        { name: 'key', in: 'path', required: true, schema: { type: 'string', maxLength: 60 } },
        expect.objectContaining({ name: 'If-Match', in: 'header', required: false }),
        expect.objectContaining({ name: 'dryRun', in: 'query', required: false }),
      ],
    });
    expect(describeOne(gatewayOperations.projects.create)).toMatchObject({
      parameters: [
        { name: 'Idempotency-Key', in: 'header' },
        { name: 'dryRun', in: 'query' },
      ],
      requestBody: {
        required: true,
        content: {
          'application/json': { schema: { type: 'object', required: ['name'], additionalProperties: false } },
        },
      },
    });
    expect(describeOne(gatewayOperations.keys.list).parameters).toMatchObject([
      { name: 'project', in: 'path' },
      { name: 'limit', in: 'query', required: false },
      { name: 'cursor', in: 'query', required: false },
    ]);
  });

  it('knows streams from JSON', () => {
    const upload = describeOne(storageOperations.bundles.upload);
    expect(upload.requestBody).toEqual({ required: true, content: { 'application/octet-stream': {} } });
    expect(upload.parameters).toMatchObject([
      { name: 'project' },
      { name: 'sha256', in: 'query' },
      { name: 'Idempotency-Key', in: 'header' },
      { name: 'dryRun', in: 'query' },
    ]);
    const download = describeOne(storageOperations.bundles.download).responses as Record<string, { content: object }>;
    expect(Object.keys(download['200']?.content ?? {})).toEqual(['application/octet-stream']);
    const follow = describeOne(gatewayOperations.events.follow);
    expect(follow.parameters).toMatchObject([{ name: 'project' }, { name: 'Last-Event-ID', in: 'header' }]);
    expect((follow.responses as Record<string, object>)['200']).toMatchObject({ content: { 'text/event-stream': {} } });
  });

  it('says on which terms a change may be asked for', () => {
    const put = describeOne({ ...computeOperations.apps.put, precondition: 'required' });
    expect((put.parameters as { name: string }[]).map(({ name }) => name)).toEqual([
      'project',
      'app',
      'dryRun',
      'If-Match',
      'If-None-Match',
    ]);
    expect(put).toMatchObject({
      responses: { 200: { headers: { ETag: {} } }, 412: {}, 428: {} },
    });
    expect(describeOne(gatewayOperations.projects.list).responses).not.toHaveProperty('412');
  });

  it('lists the declared errors with the ambient ones, by status', () => {
    const { responses } = describeOne(gatewayOperations.projects.create) as {
      responses: Record<string, { description: string }>;
    };
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['201', '400', '401', '403', '409', '503']));
    expect(responses['409']?.description).toContain('already_exists');
  });

  it('stays valid with recursive schemas, whose definitions move to the components', async () => {
    interface Tree {
      name: string;
      children: Tree[];
    }
    const tree: z.ZodType<Tree> = z.lazy(() => z.object({ name: z.string(), children: z.array(tree) }));
    const get = gatewayOperations.identity.get as Operation;
    const document = buildDocument([learn({ ...get, output: z.object({ tree }) })], '1.0.0');
    const [name] = Object.keys(document.components.schemas).filter((key) => key !== 'Problem');
    expect(name).toMatch(/^gateway\.identity\.get\.output\./);
    expect(JSON.stringify(document)).not.toContain('#/$defs/');
    expect(await new Validator().validate(document)).toMatchObject({ valid: true });
  });
});
