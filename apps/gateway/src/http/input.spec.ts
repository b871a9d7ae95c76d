import { z } from 'zod';
import { learnedOperationSchema } from '../routing/learned-operation';
import { buildInput } from './input';

const learn = (method: string, path: string, input: z.ZodObject, query?: string[]) =>
  learnedOperationSchema.parse({
    service: 'compute',
    name: 'compute.apps.put',
    subject: 'alto.rpc.compute.v1.apps.put',
    version: 1,
    summary: '',
    http: { method, path, query },
    permission: 'apps.write',
    input: z.toJSONSchema(input, { io: 'input' }),
    output: {},
    errors: [],
    idempotent: true,
  });

const list = learn(
  'GET',
  '/v1/projects/{project}/apps',
  z.strictObject({
    project: z.string(),
    limit: z.coerce.number().int().optional(),
    all: z.boolean().optional(),
    tag: z.array(z.int()).optional(),
    q: z.string().optional(),
  }),
);
const put = learn(
  'PUT',
  '/v1/projects/{project}/apps/{app}',
  z.strictObject({ project: z.string(), app: z.string(), replicas: z.int(), dryRun: z.boolean().optional() }),
  ['dryRun'],
);

const query = (text: string) => new URLSearchParams(text);
const refusal = (act: () => unknown) => {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('was not refused');
};

describe('buildInput', () => {
  it('merges path, query and body', () => {
    const parts = { path: { project: 'p', app: 'a' }, query: query('dryRun=true'), body: { replicas: 3 } };
    expect(buildInput(put, parts)).toEqual({ project: 'p', app: 'a', replicas: 3, dryRun: true });
  });

  it('turns text into what the schema asks for', () => {
    const parts = { path: { project: '7' }, query: query('limit=10&all=false&tag=1&tag=2&q=5') };
    expect(buildInput(list, parts)).toEqual({ project: '7', limit: 10, all: false, tag: [1, 2], q: '5' });
  });

  it.each(['a\0', 'a\udfffb'])('refuses %j, which cannot be stored, and names the field', (text) => {
    const parts = { path: { project: 'p', app: 'a' }, query: query(''), body: { env: { A: 'fine', B: text } } };
    expect(refusal(() => buildInput(put, parts))).toMatchObject({ code: 'invalid_request', field: 'env.B' });
  });

  it('leaves what does not fit to be refused by the service', () => {
    const parts = { path: { project: 'p' }, query: query('limit=0x10&all=yes&tag=a&other=1') };
    expect(buildInput(list, parts)).toEqual({ project: 'p', limit: '0x10', all: 'yes', tag: ['a'], other: '1' });
  });

  it('refuses fields in the wrong place, naming them', () => {
    const path = { project: 'p', app: 'a' };
    const cases: [() => unknown, string][] = [
      [() => buildInput(put, { path, query: query(''), body: { project: 'q' } }), 'project'],
      [() => buildInput(put, { path, query: query('app=b') }), 'app'],
      [() => buildInput(put, { path, query: query('replicas=3') }), 'replicas'],
      [() => buildInput(put, { path, query: query('dryRun=true'), body: { dryRun: false } }), 'dryRun'],
      [() => buildInput(list, { path: { project: 'p' }, query: query('limit=1&limit=2') }), 'limit'],
    ];
    for (const [act, field] of cases) expect(refusal(act)).toMatchObject({ code: 'invalid_request', field });
  });

  it('refuses a body that is not an object', () => {
    for (const body of [[], null, 'text', 1]) {
      expect(refusal(() => buildInput(put, { path: {}, query: query(''), body }))).toMatchObject({
        code: 'invalid_request',
      });
    }
  });

  it('refuses text that cannot be stored, however deep', () => {
    const path = { project: 'p', app: 'a' };
    const cases: [() => unknown, string][] = [
      [() => buildInput(put, { path, query: query(''), body: { a: { b: ['x', 'y\0'] } } }), 'a.b.1'],
      [() => buildInput(list, { path: { project: 'p' }, query: query('q=%00') }), 'q'],
      [() => buildInput(list, { path: { project: '\0' }, query: query('') }), 'project'],
    ];
    for (const [act, field] of cases) expect(refusal(act)).toMatchObject({ code: 'invalid_request', field });
  });

  it('never touches a prototype', () => {
    const body = JSON.parse('{"__proto__":{"admin":true},"replicas":1}') as unknown;
    const input = buildInput(put, { path: { project: 'p', app: 'a' }, query: query('dryRun=true'), body });
    expect(Object.getPrototypeOf(input)).toBe(Object.prototype);
    expect((input as { admin?: boolean }).admin).toBeUndefined();
    expect(JSON.stringify(input)).toContain('__proto__');
  });
});
