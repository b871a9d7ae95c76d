import { type Caller, operation, usageOperation } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { z } from 'zod';
import { Gateways, type Question } from '../gateways.fake';

/** Answers with what the caller's token says. */
const look = operation({
  service: 'search',
  noun: 'limits',
  verb: 'get',
  version: 1,
  summary: 'Show the limits',
  http: { method: 'GET', path: '/v1/projects/{project}/seen-limits' },
  permission: 'projects.read',
  callers: ['gateway'],
  input: z.strictObject({ project: z.string() }),
  output: z.object({ limits: z.unknown() }),
  errors: [],
  idempotent: true,
});

let gateways: Gateways;

beforeAll(async () => {
  gateways = await Gateways.start(2);
  await gateways.createProject('shop');
  await gateways.serve({
    service: 'search',
    operations: [look, usageOperation('search')],
    answer: ({ name }, _input, caller: Caller) =>
      name === look.name ? { limits: caller.quotas ?? null } : { use: { apps: 2 } },
  });
  await eventually(async () => expect((await gateways.call('GET', path('/seen-limits'))).status).toBe(200));
});

afterAll(async () => gateways?.stop());

const path = (rest: string) => `/v1/projects/shop${rest}`;
const put = (limits: unknown, headers: Record<string, string> = { 'if-match': '*' }, key?: string) =>
  gateways.call('PUT', path('/quotas'), { body: { limits }, headers, ...(key !== undefined && { key }) });

/** Once all services have said in time what there is. */
const show = (question?: Question) =>
  eventually(async () => {
    const { body } = await gateways.call('GET', path('/quotas'), question);
    expect(body).toMatchObject({ unavailable: [] });
    return body;
  });

it('are without limits until an operator sets some, and shown with what there is', async () => {
  expect(await show()).toMatchObject({ limits: {}, version: 0, updatedAt: null, use: { apps: 2 } });
  const first = await put({ apps: 3, storageBytes: 1_000 }, { 'if-match': '"0"' });
  expect(first.body).toMatchObject({ version: 1 });
  const viewer = await gateways.createKey('shop', 'viewer');
  const seen = await show({ key: viewer.key });
  expect(seen).toMatchObject({ limits: { apps: 3, storageBytes: 1_000 }, version: 1, use: { apps: 2 } });
});

it('reach the services with every request about the project, whoever makes it', async () => {
  const { key } = await gateways.createKey('shop', 'viewer');
  for (const limits of [{ messages: 5 }, { messages: 6, apps: 0 }, {}]) {
    await put(limits);
    for (const gateway of gateways.all)
      for (const who of [key, gateways.operator.key])
        await eventually(async () => {
          const { body } = await gateways.call('GET', path('/seen-limits'), { key: who, gateway });
          expect(body.limits).toEqual(Object.keys(limits).length > 0 ? limits : null);
        });
  }
});

it('are set by operators alone, checked, and compared with what was read', async () => {
  const admin = await gateways.createKey('shop', 'admin');
  expect((await put({ apps: 1 }, { 'if-match': '*' }, admin.key)).status).toBe(403);
  for (const [limits, field] of [
    [{ apps: -1 }, 'limits.apps'],
    [{ apps: 1.5 }, 'limits.apps'],
    [{ apples: 1 }, 'limits.apples'],
    ['x', 'limits'],
  ] as const)
    expect((await put(limits)).body).toMatchObject({ status: 400, field });
  const { version } = (await put({ instances: 7 })).body;
  expect((await put({ instances: 8 }, { 'if-match': `"${version - 1}"` })).status).toBe(412);
  expect((await put({ instances: 8 }, { 'if-match': `"${version}"` })).body.version).toBe(version + 1);
  expect((await put({ instances: 8 })).body.version).toBe(version + 1);
  expect(await put({ instances: 9 }, {})).toMatchObject({ status: 428, body: { code: 'precondition_required' } });
  const nowhere = { body: { limits: {} }, headers: { 'if-match': '*' } };
  expect((await gateways.call('PUT', '/v1/projects/nothing/quotas', nowhere)).status).toBe(404);
});
