/** What the next command needs stands whole on the narrowest terminal that people use. */
import { stripVTControlCharacters } from 'node:util';
import { newId } from '@alto/contracts';
import { type } from '../session.fake';

const columns = 80;
const time = new Date().toISOString();
const widest = (text: string) =>
  Math.max(
    ...stripVTControlCharacters(text)
      .split('\n')
      .map(({ length }) => length),
  );

const node = {
  id: newId('node'),
  name: 'a-machine-with-a-long-name.example.com',
  state: 'ready',
  intake: 'draining',
  used: { instances: 12, cpuMillis: 1_200, memoryBytes: 2 ** 34 },
  capacity: { cpuMillis: 64_000, memoryBytes: 2 ** 37 },
  labels: { 'alto.sandbox': 'sandboxed' },
  agentVersion: '0.1.0-ee6e5dcc',
  lastSeenAt: time,
  reason: 'its instances are moved: 3 of 15 are left',
};

it('alto keys list shows the ids that rotate and revoke take', async () => {
  const times = { createdAt: time, lastUsedAt: time, expiresAt: '2030-01-01T00:00:00.000Z' };
  const key = { id: newId('key'), name: 'a dashboard of the shop', role: 'developer', revokedAt: null, ...times };
  const { printed } = await type('alto keys list', { api: { 'keys.list': () => [key] }, columns });
  expect(printed).toContain(key.id);
  expect(widest(printed)).toBeLessThanOrEqual(columns);
});

it('alto apps show shows the ids that logs --instance takes, and enough of the reason', async () => {
  const status = { state: 'running', ready: 3, desired: 3, reason: 'all 3 replicas are ready' };
  const app = { name: 'hello', status, revision: 12, createdAt: time };
  const address = { ip: '127.0.0.1', port: 20_000 };
  const of = { revision: 12, restarts: 10, createdAt: time };
  const instance = { ...of, id: newId('instance'), state: 'starting', address, reason: 'nothing listens on the port' };
  const api = { 'apps.get': () => app, 'instances.list': () => [instance] };
  const { printed } = await type('alto apps show hello', { api, columns });
  expect(printed).toContain(instance.id);
  expect(printed).toContain('nothing listen');
  expect(widest(printed)).toBeLessThanOrEqual(columns);
});

it('alto nodes shows the names that drain takes', async () => {
  const { printed } = await type('alto nodes', { api: { 'nodes.list': () => [node] }, columns });
  expect(printed).toContain(node.name);
  expect(widest(printed)).toBeLessThanOrEqual(columns);
});

it('alto nodes token takes the name of a node, and an id where the API is away', async () => {
  const agent = { nodeToken: (of: string) => ({ token: `of ${of}`, natsUrl: 'nats://10.0.0.1:4222' }) };
  const api = { 'nodes.list': () => [node] };
  expect((await type(`alto nodes token --node ${node.name}`, { api, agent })).printed).toBe(`of ${node.id}\n`);
  expect((await type(`alto nodes token --node ${node.id}`, { agent })).printed).toBe(`of ${node.id}\n`);
  const unknown = await type('alto nodes token --node node-9', { api, agent });
  expect(unknown).toMatchObject({ code: 4, printed: '' });
  expect(unknown.complaint).toMatch(/There is no node node-9\.\n`.*alto nodes list`/);
});
