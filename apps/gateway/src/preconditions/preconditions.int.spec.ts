import { operation, type Operation } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { z } from 'zod';
import { Gateways } from '../gateways.fake';

let gateways: Gateways;

const lamp = (verb: string, more: Partial<Operation>): Operation =>
  operation({
    service: 'search',
    noun: 'lamps',
    verb,
    version: 1,
    summary: 'Do something with a lamp',
    permission: 'indexes.write',
    callers: ['gateway'],
    errors: [],
    idempotent: true,
    http: { method: 'PUT', path: `/v1/projects/{project}/lamps/{lamp}/${verb}` },
    input: z.strictObject({ project: z.string(), lamp: z.string() }),
    output: z.object({ version: z.number().int() }),
    ...more,
  });

beforeAll(async () => {
  gateways = await Gateways.start(1);
  const operations = [lamp('guard', { precondition: 'required' }), lamp('burn', { dryRun: false })];
  await gateways.serve({ service: 'search', operations, answer: () => ({ version: 7 }) });
  await eventually(async () => {
    const learned = await gateways.call('PUT', '/v1/projects/default/lamps/a/guard', { body: {} });
    expect(learned.status).toBe(428);
  });
});

afterAll(() => gateways?.stop());

const revoke = (id: string, headers: Record<string, string>, query = '') =>
  gateways.call('DELETE', `/v1/projects/default/keys/${id}${query}`, { headers });

it('shows the version of a resource as its ETag', async () => {
  const created = await gateways.call('POST', '/v1/projects', { body: { name: 'tagged' } });
  expect(created.headers.get('etag')).toBe('"1"');
  expect((await gateways.call('GET', '/v1/projects/tagged')).headers.get('etag')).toBe('"1"');
  expect((await gateways.call('HEAD', '/v1/projects/tagged')).headers.get('etag')).toBe('"1"');
  expect((await gateways.call('GET', '/v1/projects')).headers.get('etag')).toBeNull();
  expect((await gateways.call('GET', '/v1/whoami')).headers.get('etag')).toBeNull();
});

it('changes a resource of the named version alone', async () => {
  const { id } = await gateways.createKey('default', 'viewer');
  const stale = await revoke(id, { 'if-match': '"7"' });
  expect(stale).toMatchObject({ status: 412, body: { code: 'precondition_failed', details: { version: 1 } } });
  const revoked = await revoke(id, { 'if-match': '"7", "1"' });
  expect(revoked).toMatchObject({ status: 200, body: { version: 2 } });
  expect(revoked.headers.get('etag')).toBe('"2"');
  expect((await revoke(id, { 'if-match': '"1"' })).status).toBe(412);
  expect((await revoke(id, { 'if-match': '*' })).status).toBe(200);
});

it('answers a trial as if it were done, and does not do it', async () => {
  const { id, key } = await gateways.createKey('default', 'viewer');
  const trial = await revoke(id, {}, '?dryRun=true');
  expect(trial).toMatchObject({ status: 200, body: { version: 2, revokedAt: expect.any(String) } });
  expect((await gateways.call('GET', '/v1/whoami', { key })).status).toBe(200);
  const imagined = await gateways.call('POST', '/v1/projects?dryRun=true', { body: { name: 'imagined' } });
  expect(imagined).toMatchObject({ status: 200, body: { name: 'imagined' } });
  expect((await gateways.call('GET', '/v1/projects/imagined')).status).toBe(404);
  expect((await gateways.call('POST', '/v1/projects?dryRun=true', { body: { name: 'default' } })).status).toBe(409);
});

it('does not try what is not yet allowed, nor what no one could undo', async () => {
  const { key } = await gateways.createKey('default', 'viewer');
  const forbidden = await gateways.call('POST', '/v1/projects?dryRun=true', { key, body: { name: 'mine' } });
  expect(forbidden.status).toBe(403);
  const burn = '/v1/projects/default/lamps/a/burn?dryRun=true';
  expect(await gateways.call('PUT', burn, { body: {} })).toMatchObject({ status: 400, body: { field: 'dryRun' } });
});

it('asks for a condition where the operation requires one', async () => {
  const guard = (headers: Record<string, string>) =>
    gateways.call('PUT', '/v1/projects/default/lamps/a/guard', { body: {}, headers });
  expect(await guard({})).toMatchObject({ status: 428, body: { code: 'precondition_required' } });
  const changed = await guard({ 'if-match': '"6"' });
  expect(changed).toMatchObject({ status: 200 });
  expect(changed.headers.get('etag')).toBe('"7"');
});

it('refuses a condition that nobody would look at', async () => {
  const create = await gateways.call('POST', '/v1/projects', {
    body: { name: 'conditional' },
    headers: { 'if-match': '"1"' },
  });
  expect(create).toMatchObject({ status: 400, body: { field: 'If-Match' } });
});
