import { type App, computeOperations, type Instance, type RequestOf } from '@alto/contracts';
import {
  callerOf,
  createDatabase,
  eventually,
  type NatsServer,
  newTestProject,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { ComputeModule } from './compute.module';
import { computeConfig } from './config';
import { computeDatabase } from './database';
import { ScriptedProxy } from './endpoints/scripted-proxy';
import { ScriptedAgent, type ScriptedAgentOptions } from './nodes/scripted-agent';

const definition = {
  name: 'compute',
  module: ComputeModule,
  config: computeConfig,
  database: computeDatabase,
} as const;
const withinMs = 20_000;
const { apps, instances, nodes, revisions } = computeOperations;

let nats: NatsServer;
let database: TestDatabase;
let compute: TestService;
let project: ReturnType<typeof newTestProject>;
const agents: ScriptedAgent[] = [];
const proxies: ScriptedProxy[] = [];

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());

beforeEach(async () => {
  database = await createDatabase({ name: 'compute', ...computeDatabase });
  project = newTestProject();
  compute = await start();
});
afterEach(async () => {
  await Promise.all([...agents.splice(0), ...proxies.splice(0)].map((fake) => fake.stop()));
  await compute.stop();
  await database.drop();
});

async function start(settings: Record<string, string> = {}): Promise<TestService> {
  const service = await startTestService(definition, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: {
      ALTO_NODE_SUSPECT_AFTER_MS: '1000',
      ALTO_NODE_LOST_AFTER_MS: '1500',
      ALTO_FAILED_HOLD_MS: '300',
      ...settings,
    },
  });
  await eventually(async () => expect((await fetch(`${service.url}/readyz`)).status).toBe(200), { withinMs });
  return service;
}

function join(options: ScriptedAgentOptions): ScriptedAgent {
  const agent = new ScriptedAgent(compute.client, options);
  agents.push(agent);
  agent.start();
  return agent;
}

function addProxy(id: string): ScriptedProxy {
  const proxy = new ScriptedProxy(compute.client, id);
  proxies.push(proxy);
  proxy.start();
  return proxy;
}

const address = (app: string) => ({ project: project.id, app });
const specOf = (more: Partial<RequestOf<typeof apps.put>> = {}) => ({ command: ['node', 'server.js'], ...more });

function put(app: string, more: Partial<RequestOf<typeof apps.put>> = {}): Promise<App> {
  return compute.call(apps.put, { ...specOf(more), ...address(app) }, callerOf(project));
}

const get = (app: string) => compute.call(apps.get, address(app), callerOf(project));

async function instancesOf(app: string): Promise<Instance[]> {
  return (await compute.call(instances.list, address(app), callerOf(project))).items;
}

function reaches(app: string, state: App['status']['state'], more: Partial<App['status']> = {}): Promise<App> {
  return eventually(
    async () => {
      const found = await get(app);
      expect(found.status).toMatchObject({ state, ...more });
      return found;
    },
    { withinMs },
  );
}

describe('an app', () => {
  it('is deployed: placed, started, ready, and known to the proxy', async () => {
    join({ node: 'node-a' });
    const proxy = addProxy('proxy-a');
    const app = await put('hello', { replicas: 3 });
    expect(app).toMatchObject({ revision: 1, version: 1, status: { state: 'progressing', desired: 3 } });
    await reaches('hello', 'running', { ready: 3, updated: 3 });
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(3), { withinMs });
    expect(proxy.sets.get('hello')).toMatchObject({ app: app.id, project: project.id, projectName: project.name });
    expect(await instancesOf('hello')).toMatchObject(
      [1, 2, 3].map(() => ({ state: 'ready', revision: 1, node: 'node-a' })),
    );
  });

  it('stays as it is when the same specification is put again, whatever the order of its fields', async () => {
    const spec = { env: { A: '1', B: '2' }, replicas: 0 };
    const first = await put('hello', spec);
    await reaches('hello', 'stopped');
    const settled = await get('hello');
    expect(await put('hello', { replicas: 0, env: { B: '2', A: '1' } })).toEqual(settled);
    expect(settled.id).toBe(first.id);
  });

  it('makes a revision of each change of its content, keeps ten and goes back to an old one as the same', async () => {
    for (let round = 1; round <= 12; round++) await put('hello', { replicas: 0, env: { ROUND: String(round) } });
    const listed = await compute.call(revisions.list, { ...address('hello'), limit: 4 }, callerOf(project));
    expect(listed.items.map(({ number, current }) => [number, current])).toEqual([
      [12, true],
      [11, false],
      [10, false],
      [9, false],
    ]);
    const rest = await compute.call(
      revisions.list,
      { ...address('hello'), cursor: listed.nextCursor },
      callerOf(project),
    );
    expect(rest.items.map(({ number }) => number)).toEqual([8, 7, 6, 5, 4, 3]);
    expect(await put('hello', { replicas: 0, env: { ROUND: '5' } })).toMatchObject({ revision: 5 });
    expect(await put('hello', { replicas: 1, env: { ROUND: '5' } })).toMatchObject({ revision: 5 });
  });

  it('is scaled up and down', async () => {
    const agent = join({ node: 'node-a' });
    const proxy = addProxy('proxy-a');
    await put('hello', { replicas: 1 });
    await reaches('hello', 'running');
    await put('hello', { replicas: 4 });
    await reaches('hello', 'running', { ready: 4 });
    await put('hello', { replicas: 2 });
    await eventually(async () => expect(await instancesOf('hello')).toHaveLength(2), { withinMs });
    await eventually(() => expect(agent.running.size).toBe(2), { withinMs });
    expect(proxy.serving('hello')).toHaveLength(2);
    expect((await get('hello')).revision).toBe(1);
  });

  it('is changed with no moment at which proxies know fewer than its replicas', async () => {
    join({ node: 'node-a' });
    const proxy = addProxy('proxy-a');
    await put('hello', { replicas: 3 });
    await reaches('hello', 'running');
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(3), { withinMs });
    const served: number[] = [];
    proxy.onApplied = ({ endpoints }) => served.push(endpoints.filter(({ state }) => state === 'ready').length);
    await put('hello', { replicas: 3, env: { VERSION: '2' } });
    await reaches('hello', 'running', { updated: 3 });
    await eventually(async () => expect(await instancesOf('hello')).toHaveLength(3), { withinMs });
    expect(Math.min(...served)).toBeGreaterThanOrEqual(3);
    expect((await instancesOf('hello')).map(({ revision }) => revision)).toEqual([2, 2, 2]);
  });

  it('waits with ending an instance until every proxy has let go and its requests are answered', async () => {
    const agent = join({ node: 'node-a' });
    const [proxy, slow] = [addProxy('proxy-a'), addProxy('proxy-b')];
    await put('hello', { replicas: 1 });
    await reaches('hello', 'running');
    const [instance] = await eventually(() => slow.serving('hello').length === 1 && slow.serving('hello'), {
      withinMs,
    });
    slow.isStuck = true;
    proxy.busy = new Set([instance!]);
    await put('hello', { replicas: 0 });
    await eventually(() => expect(proxy.sets.get('hello')!.endpoints).toMatchObject([{ state: 'draining' }]), {
      withinMs,
    });
    const reasonOf = async () => (await instancesOf('hello'))[0]?.reason;
    await eventually(async () => expect(await reasonOf()).toBe('waits for proxy-b to send it no more requests'), {
      withinMs,
    });
    slow.isStuck = false;
    await eventually(async () => expect(await reasonOf()).toContain('those in flight may take'), { withinMs });
    expect(agent.running.get(instance!)).toMatchObject({ state: 'ready' });
    proxy.busy = new Set();
    await reaches('hello', 'stopped');
    await eventually(() => expect(agent.running.size).toBe(0), { withinMs });
  });

  it('is deleted: drained, ended, and gone for proxies too', async () => {
    const agent = join({ node: 'node-a' });
    const proxy = addProxy('proxy-a');
    await put('hello', { replicas: 2 });
    await reaches('hello', 'running');
    expect(await compute.call(apps.delete, address('hello'), callerOf(project))).toMatchObject({
      status: { state: 'deleting' },
    });
    await eventually(() => expect(get('hello')).rejects.toMatchObject({ code: 'not_found' }), { withinMs });
    await eventually(() => expect(proxy.sets.size + agent.running.size).toBe(0), { withinMs });
    await expect(compute.call(apps.delete, address('hello'), callerOf(project))).rejects.toMatchObject({
      code: 'not_found',
    });
    expect(await put('hello', { replicas: 0 })).toMatchObject({ revision: 1, version: 1 });
  });

  it('that is put again while it is deleted lives on', async () => {
    join({ node: 'node-a', behave: () => ({ state: 'starting', reason: 'slow' }) });
    const { id } = await put('hello', { replicas: 1 });
    await compute.call(apps.delete, address('hello'), callerOf(project));
    expect(await put('hello', { replicas: 0 })).toMatchObject({ id, status: { state: 'progressing' } });
    await reaches('hello', 'stopped');
  });

  it('tells in words what is wrong with it', async () => {
    const agent = join({
      node: 'node-a',
      behave: () => ({ state: 'backoff', reason: 'exited with code 1; starts again in 4 s', exitCode: 1, restarts: 3 }),
    });
    await put('hello');
    const { status } = await reaches('hello', 'degraded', { ready: 0 });
    const [instance] = await instancesOf('hello');
    expect(status.reason).toBe(
      `0 of 1 replica ready at revision 1; ${instance!.id}: exited with code 1; starts again in 4 s`,
    );
    expect(instance).toMatchObject({ state: 'backoff', exitCode: 1, restarts: 3 });
    agent.set(instance!.id, { state: 'ready', reason: 'answers' });
    await reaches('hello', 'running');
    await put('large', { resources: { memoryBytes: 2 ** 34 } });
    const large = await reaches('large', 'degraded');
    expect(large.status.reason).toMatch(/no node has 16 GiB of memory free: node-a has [0-9.]+ GiB$/);
  });

  it('replaces an instance that its agent has given up', async () => {
    let failures = 0;
    join({
      node: 'node-a',
      behave: () => (failures++ === 0 ? { state: 'failed', reason: 'was not ready within 300 s' } : {}),
    });
    await put('hello');
    await reaches('hello', 'running');
    await eventually(async () => expect(await instancesOf('hello')).toHaveLength(1), { withinMs });
    expect(failures).toBe(2);
  });

  it('is refused with the field named when it cannot be', async () => {
    const invalid = { code: 'invalid_request' };
    await expect(
      put('hello', { env: { A: 'x'.repeat(32_000), B: 'x'.repeat(32_000), C: 'x'.repeat(32_000) } }),
    ).rejects.toMatchObject({ ...invalid, field: 'env' });
    await expect(put('hello', { env: { A: 'a\0b' } })).rejects.toMatchObject({ ...invalid, field: 'env.A' });
    await expect(put('hello', { command: [] })).rejects.toMatchObject({ ...invalid, field: 'command' });
    await expect(put('hello', { resources: { memoryBytes: 1 } })).rejects.toMatchObject({
      ...invalid,
      field: 'resources.memoryBytes',
    });
    await expect(
      compute.call(apps.list, { project: project.id, cursor: 'nonsense' }, callerOf(project)),
    ).rejects.toMatchObject({ ...invalid, field: 'cursor' });
    await expect(get('hello')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is a secret of its project', async () => {
    await put('hello', { replicas: 0 });
    const other = newTestProject();
    await expect(compute.call(apps.get, { project: other.id, app: 'hello' }, callerOf(other))).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(compute.call(apps.get, address('hello'), callerOf(other))).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(
      compute.call(apps.put, { ...specOf(), ...address('hello') }, callerOf(project, 'viewer')),
    ).rejects.toMatchObject({ code: 'forbidden' });
    expect((await compute.call(apps.list, { project: other.id }, callerOf(other))).items).toEqual([]);
  });

  it('is listed by pages', async () => {
    for (const name of ['c', 'a', 'e', 'b', 'd']) await put(name, { replicas: 0 });
    const first = await compute.call(apps.list, { project: project.id, limit: 3 }, callerOf(project));
    const second = await compute.call(
      apps.list,
      { project: project.id, limit: 3, cursor: first.nextCursor },
      callerOf(project),
    );
    expect([...first.items, ...second.items].map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(second.nextCursor).toBeUndefined();
  });
});

describe('a node', () => {
  it('that falls silent is lost, its instances are replaced, and it is taken up again', async () => {
    const [a, b] = [join({ node: 'node-a' }), join({ node: 'node-b' })];
    await eventually(async () => expect((await listNodes()).length).toBe(2), { withinMs });
    const proxy = addProxy('proxy-a');
    await put('hello', { replicas: 4 });
    await reaches('hello', 'running', { ready: 4 });
    expect([a.running.size, b.running.size]).toEqual([2, 2]);
    await a.stop();
    await eventually(async () => expect(await listNodes()).toMatchObject([{ state: 'lost' }, { state: 'ready' }]), {
      withinMs,
    });
    await eventually(() => expect(b.running.size).toBe(4), { withinMs });
    await reaches('hello', 'running', { ready: 4 });
    await eventually(() => expect(proxy.serving('hello').sort()).toEqual([...b.running.keys()].sort()), { withinMs });
    a.restart();
    await eventually(async () => expect(await listNodes()).toMatchObject([{ state: 'ready' }, { state: 'ready' }]), {
      withinMs,
    });
    await eventually(async () => expect(await instancesOf('hello')).toHaveLength(4), { withinMs });
    await eventually(() => expect(a.running.size).toBe(0), { withinMs });
  });

  it('that is the only one keeps serving while its agent is away', async () => {
    const agent = join({ node: 'node-a' });
    const proxy = addProxy('proxy-a');
    await put('hello', { replicas: 2 });
    await reaches('hello', 'running');
    const before = await eventually(() => proxy.serving('hello').length === 2 && proxy.serving('hello'), { withinMs });
    await agent.stop();
    const { status } = await reaches('hello', 'degraded');
    expect(status.reason).toContain('no node has a healthy agent: node-a is lost');
    expect(proxy.serving('hello')).toEqual(before);
    agent.restart();
    await reaches('hello', 'running', { ready: 2 });
    await eventually(async () => expect((await instancesOf('hello')).map(({ id }) => id)).toEqual(before), {
      withinMs,
    });
  });

  it('whose report is overtaken by a newer one is not set back', async () => {
    const agent = join({ node: 'node-a' });
    await put('hello');
    await reaches('hello', 'running');
    await agent.stop();
    const [id] = agent.running.keys();
    agent.running.set(id!, { ...agent.running.get(id!)!, state: 'starting' });
    const old = agent.report();
    agent.running.set(id!, { ...agent.running.get(id!)!, state: 'ready' });
    await agent.send(agent.report());
    await expect(agent.send(old)).rejects.toMatchObject({ code: 'stale_writer' });
    expect(await instancesOf('hello')).toMatchObject([{ state: 'ready' }]);
  });

  it('tells what is used on it', async () => {
    join({ node: 'node-a', capacity: { cpuMillis: 2_000, memoryBytes: 2 ** 31 } });
    await put('hello', { replicas: 2, resources: { cpuMillis: 200, memoryBytes: 2 ** 26 } });
    await reaches('hello', 'running');
    expect(await listNodes()).toMatchObject([
      {
        id: 'node-a',
        state: 'ready',
        capacity: { cpuMillis: 2_000 },
        used: { cpuMillis: 400, memoryBytes: 2 ** 27, instances: 2 },
      },
    ]);
  });
});

async function listNodes() {
  return (await compute.call(nodes.list, {}, callerOf(null, 'operator'))).items;
}
