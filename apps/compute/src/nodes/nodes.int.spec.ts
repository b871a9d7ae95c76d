import { computeOperations, type Node, secretOperations } from '@alto/contracts';
import { Database } from '@alto/platform';
import { callerOf, eventually, type NatsServer, startNats } from '@alto/testing';
import { Scenario, withinMs } from '../scenario.fake';
import type { ScriptedAgent } from './agent.fake';

let nats: NatsServer;
let scenario: Scenario;

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  scenario = await Scenario.begin(nats);
});
afterEach(() => scenario.end());

describe('a node', () => {
  it('that falls silent is lost, its instances are replaced, and it is taken up again', async () => {
    const [a, b] = [scenario.join({ node: 'node-a' }), scenario.join({ node: 'node-b' })];
    await eventually(async () => expect((await scenario.nodes()).length).toBe(2), { withinMs });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello', { replicas: 4 });
    await scenario.reaches('hello', 'running', { ready: 4 });
    expect([a.running.size, b.running.size]).toEqual([2, 2]);
    await a.stop();
    await eventually(
      async () => expect(await scenario.nodes()).toMatchObject([{ state: 'lost' }, { state: 'ready' }]),
      {
        withinMs,
      },
    );
    await eventually(() => expect(b.running.size).toBe(4), { withinMs });
    await scenario.reaches('hello', 'running', { ready: 4 });
    await eventually(() => expect(proxy.serving('hello').sort()).toEqual([...b.running.keys()].sort()), { withinMs });
    a.restart();
    await eventually(
      async () => expect(await scenario.nodes()).toMatchObject([{ state: 'ready' }, { state: 'ready' }]),
      {
        withinMs,
      },
    );
    await eventually(async () => expect(await scenario.instancesOf('hello')).toHaveLength(4), { withinMs });
    await eventually(() => expect(a.running.size).toBe(0), { withinMs });
  });

  it('that is the only one keeps serving while its agent is away', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello', { replicas: 2 });
    await scenario.reaches('hello', 'running');
    const before = await eventually(() => proxy.serving('hello').length === 2 && proxy.serving('hello'), { withinMs });
    await agent.stop();
    const { status } = await scenario.reaches('hello', 'degraded');
    expect(status.reason).toContain('no node has a healthy agent: node-a is lost');
    expect(proxy.serving('hello')).toEqual(before);
    agent.restart();
    await scenario.reaches('hello', 'running', { ready: 2 });
    await eventually(async () => expect((await scenario.instancesOf('hello')).map(({ id }) => id)).toEqual(before), {
      withinMs,
    });
  });

  it('is not lost because NATS was away for longer than a node may be silent', async () => {
    scenario.join({ node: 'node-a' });
    scenario.join({ node: 'node-b' });
    await scenario.put('hello', { replicas: 2 });
    await scenario.reaches('hello', 'running');
    const lives = async () =>
      (await scenario.instancesOf('hello')).map(({ id, node, state, restarts }) => ({ id, node, state, restarts }));
    const before = await lives();
    const sinceMs = performance.now();
    await nats.shutDown();
    await eventually(() => performance.now() - sinceMs > 4_500, { withinMs });
    await nats.start();
    await eventually(async () => expect(await lives()).toEqual(before), { withinMs });
    expect((await scenario.nodes()).map(({ state }) => state)).not.toContain('lost');
  });

  it('whose report is overtaken by a newer one is not set back', async () => {
    const agent = scenario.join({ node: 'node-a' });
    await scenario.put('hello');
    await scenario.reaches('hello', 'running');
    await agent.stop();
    const [id] = agent.running.keys();
    agent.running.set(id!, { ...agent.running.get(id!)!, state: 'starting' });
    const old = agent.report();
    agent.running.set(id!, { ...agent.running.get(id!)!, state: 'ready' });
    await agent.send(agent.report());
    await expect(agent.send(old)).rejects.toMatchObject({ code: 'stale_writer' });
    expect(await scenario.instancesOf('hello')).toMatchObject([{ state: 'ready' }]);
  });

  it('tells what is used on it', async () => {
    scenario.join({ node: 'node-a', capacity: { cpuMillis: 2_000, memoryBytes: 2 ** 31 } });
    await scenario.put('hello', { replicas: 2, resources: { cpuMillis: 200, memoryBytes: 2 ** 26 } });
    await scenario.reaches('hello', 'running');
    expect(await scenario.nodes()).toMatchObject([
      {
        id: 'node-a',
        state: 'ready',
        capacity: { cpuMillis: 2_000 },
        used: { cpuMillis: 400, memoryBytes: 2 ** 27, instances: 2 },
      },
    ]);
  });
});

describe('a node that is deleted', () => {
  const operator = () => callerOf(null, 'operator');
  const remove = (node: string) => scenario.compute.call(computeOperations.nodes.delete, { node }, operator());

  async function lose(agent: ScriptedAgent): Promise<void> {
    await agent.stop();
    await eventually(async () => expect(await stateOf(agent.node)).toBe('lost'), { withinMs });
  }

  async function stateOf(id: string): Promise<Node['state'] | undefined> {
    return (await scenario.nodes()).find((node) => node.id === id)?.state;
  }

  async function eventsOf(resource: string): Promise<{ type: string; version: number; state: string | undefined }[]> {
    const { rows } = await scenario.compute.app
      .get(Database)
      .query<{ body: string }>('SELECT body FROM alto_outbox WHERE resource = $1 ORDER BY position', [resource]);
    return rows.map(({ body }) => {
      const { type, resourceversion: version, data } = JSON.parse(body);
      return { type, version, state: data.instance?.state };
    });
  }

  it('must be lost, and known', async () => {
    scenario.join({ node: 'node-a' });
    await eventually(async () => expect(await stateOf('node-a')).toBe('ready'), { withinMs });
    await expect(remove('node-a')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('node-a is ready'),
      nextStep: expect.stringContaining('alto nodes drain node-a'),
    });
    await expect(remove('node-b')).rejects.toMatchObject({ code: 'not_found' });
    const developer = callerOf(scenario.project);
    await expect(
      scenario.compute.call(computeOperations.nodes.delete, { node: 'node-a' }, developer),
    ).rejects.toMatchObject({ code: 'forbidden' });
    expect(await stateOf('node-a')).toBe('ready');
  });

  it('lets go of an app and its secret, and may come back with nothing to run', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const secret = { project: scenario.project.id, secret: 'TOKEN' };
    const developer = callerOf(scenario.project);
    await scenario.compute.call(secretOperations.put, { ...secret, value: 'one' }, developer);
    await scenario.put('hello', { replicas: 2, secrets: ['TOKEN'] });
    await scenario.reaches('hello', 'running', { ready: 2 });
    const ids = (await scenario.instancesOf('hello')).map(({ id }) => id);
    await lose(agent);
    await scenario.delete('hello');
    const { status } = await eventually(
      async () => {
        const app = await scenario.get('hello');
        expect(app.status.reason).toContain('`alto nodes delete node-a`');
        return app;
      },
      { withinMs },
    );
    expect(status.reason).toMatch(/^2 instances to end; 2 instances: its node node-a is lost/);
    await expect(scenario.compute.call(secretOperations.delete, secret, developer)).rejects.toMatchObject({
      code: 'conflict',
      nextStep: expect.stringContaining('Instances on node-a, which is lost'),
    });

    const call = (terms: object) =>
      scenario.compute.call(computeOperations.nodes.delete, { node: 'node-a' }, operator(), terms);
    await call({ dryRun: true });
    expect(await scenario.instancesOf('hello')).toHaveLength(2);
    const deleted = await remove('node-a');
    expect(deleted).toMatchObject({ id: 'node-a', used: { instances: 2 }, reason: expect.stringMatching(/^deleted/) });
    await expect(remove('node-a')).rejects.toMatchObject({ code: 'not_found' });
    expect(await scenario.nodes()).toEqual([]);
    await scenario.isGone('hello');
    await scenario.compute.call(secretOperations.delete, secret, developer);
    for (const id of ids) {
      expect((await eventsOf(id)).at(-1)).toMatchObject({ type: 'compute.instances.changed', state: 'stopped' });
    }

    expect([...agent.running.keys()].sort()).toEqual(ids.sort());
    const { generation } = agent.instructions;
    agent.restart();
    await eventually(() => expect(agent.running.size).toBe(0), { withinMs });
    expect(agent.refused).toEqual([]);
    expect(agent.instructions.generation).toBeGreaterThan(generation);
    expect(await stateOf('node-a')).toBe('ready');
    const told = await eventsOf('node-a');
    expect(told.map(({ type }) => type.split('.').at(-1))).toEqual(['ready', 'lost', 'deleted', 'ready']);
    expect(told.map(({ version }) => version)).toEqual(told.map(({ version }) => version).sort((a, b) => a - b));
    expect(new Set(told.map(({ version }) => version)).size).toBe(told.length);
    await scenario.put('again');
    await scenario.reaches('again', 'running');
    expect(agent.refused).toEqual([]);
  });

  it('counts no more when so many are lost that nothing is replaced', async () => {
    const agents = ['node-a', 'node-b', 'node-c', 'node-d'].map((node) => scenario.join({ node }));
    await eventually(async () => expect(await scenario.nodes()).toHaveLength(4), { withinMs });
    await scenario.put('hello', { replicas: 4 });
    await scenario.reaches('hello', 'running', { ready: 4 });
    const [a, b, c, d] = agents as [ScriptedAgent, ScriptedAgent, ScriptedAgent, ScriptedAgent];
    await Promise.all([c, d].map(lose));
    const { status } = await scenario.reaches('hello', 'degraded', { ready: 2 });
    expect(status.reason).toContain('at least half of all nodes are lost (node-c, node-d)');
    await remove('node-d');
    await scenario.reaches('hello', 'running', { ready: 4 });
    await eventually(() => expect(a.running.size + b.running.size).toBe(4), { withinMs });
    expect((await scenario.instancesOf('hello')).map(({ node }) => node)).not.toContain('node-d');
  });

  it('is the lost one of two that have the same name', async () => {
    const old = scenario.join({ node: 'node-a', name: 'second' });
    await eventually(async () => expect(await stateOf('node-a')).toBe('ready'), { withinMs });
    await lose(old);
    const other = scenario.join({ node: 'node-b', name: 'second' });
    await eventually(async () => expect(await stateOf('node-b')).toBe('ready'), { withinMs });
    await expect(remove('node-b')).rejects.toMatchObject({ code: 'conflict' });
    expect(await remove('second')).toMatchObject({ id: 'node-a' });
    await expect(remove('second')).rejects.toMatchObject({ code: 'conflict' });
    old.restart();
    await eventually(async () => expect(await stateOf('node-a')).toBe('ready'), { withinMs });
    await Promise.all([old, other].map(lose));
    await expect(remove('second')).rejects.toMatchObject({
      code: 'conflict',
      nextStep: 'Name one by its id: node-a, node-b.',
    });
    await Promise.all(['node-a', 'node-b'].map(remove));
    expect(await scenario.nodes()).toEqual([]);
  });
});
