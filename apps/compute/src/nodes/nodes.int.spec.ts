import { eventually, type NatsServer, startNats } from '@alto/testing';
import { Scenario, withinMs } from '../scenario.fake';

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
