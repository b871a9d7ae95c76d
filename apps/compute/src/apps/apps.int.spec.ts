import { computeOperations } from '@alto/contracts';
import { Database } from '@alto/platform';
import { callerOf, eventually, type NatsServer, newTestProject, startNats } from '@alto/testing';
import { Scenario, withinMs } from '../scenario.fake';

const { apps, revisions } = computeOperations;

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

describe('an app', () => {
  it('is deployed: placed, started, ready, and known to the proxy', async () => {
    scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    const app = await scenario.put('hello', { replicas: 3 });
    expect(app).toMatchObject({ revision: 1, version: 1, status: { state: 'progressing', desired: 3 } });
    await scenario.reaches('hello', 'running', { ready: 3, updated: 3 });
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(3), { withinMs });
    expect(proxy.sets.get('hello')).toMatchObject({
      app: app.id,
      project: scenario.project.id,
      projectName: scenario.project.name,
    });
    expect(await scenario.instancesOf('hello')).toMatchObject(
      [1, 2, 3].map(() => ({ state: 'ready', revision: 1, node: 'node-a' })),
    );
  });

  it('stays as it is when the same specification is put again, whatever the order of its fields', async () => {
    const spec = { env: { A: '1', B: '2' }, replicas: 0 };
    const first = await scenario.put('hello', spec);
    await scenario.reaches('hello', 'stopped');
    const settled = await scenario.get('hello');
    expect(await scenario.put('hello', { replicas: 0, env: { B: '2', A: '1' } })).toEqual(settled);
    expect(settled.id).toBe(first.id);
  });

  it('makes a revision of each change of its content, keeps ten and goes back to an old one as the same', async () => {
    for (let round = 1; round <= 12; round++)
      await scenario.put('hello', { replicas: 0, env: { ROUND: String(round) } });
    const listed = await scenario.compute.call(
      revisions.list,
      { ...scenario.address('hello'), limit: 4 },
      callerOf(scenario.project),
    );
    expect(listed.items.map(({ number, current }) => [number, current])).toEqual([
      [12, true],
      [11, false],
      [10, false],
      [9, false],
    ]);
    const rest = await scenario.compute.call(
      revisions.list,
      { ...scenario.address('hello'), cursor: listed.nextCursor },
      callerOf(scenario.project),
    );
    expect(rest.items.map(({ number }) => number)).toEqual([8, 7, 6, 5, 4, 3]);
    expect(await scenario.put('hello', { replicas: 0, env: { ROUND: '5' } })).toMatchObject({ revision: 5 });
    expect(await scenario.put('hello', { replicas: 1, env: { ROUND: '5' } })).toMatchObject({ revision: 5 });
  });

  it('is scaled up and down', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello', { replicas: 1 });
    await scenario.reaches('hello', 'running');
    await scenario.put('hello', { replicas: 4 });
    await scenario.reaches('hello', 'running', { ready: 4 });
    await scenario.put('hello', { replicas: 2 });
    await eventually(async () => expect(await scenario.instancesOf('hello')).toHaveLength(2), { withinMs });
    await eventually(() => expect(agent.running.size).toBe(2), { withinMs });
    expect(proxy.serving('hello')).toHaveLength(2);
    expect((await scenario.get('hello')).revision).toBe(1);
  });

  it('is changed with no moment at which proxies know fewer than its replicas', async () => {
    scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello', { replicas: 3 });
    await scenario.reaches('hello', 'running');
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(3), { withinMs });
    const served: number[] = [];
    proxy.onApplied = ({ endpoints }) => served.push(endpoints.filter(({ state }) => state === 'ready').length);
    await scenario.put('hello', { replicas: 3, env: { VERSION: '2' } });
    await scenario.reaches('hello', 'running', { updated: 3 });
    await eventually(async () => expect(await scenario.instancesOf('hello')).toHaveLength(3), { withinMs });
    expect(Math.min(...served)).toBeGreaterThanOrEqual(3);
    expect((await scenario.instancesOf('hello')).map(({ revision }) => revision)).toEqual([2, 2, 2]);
  });

  it('waits with ending an instance until every proxy has let go and its requests are answered', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const [proxy, slow] = [scenario.addProxy('proxy-a'), scenario.addProxy('proxy-b')];
    await scenario.put('hello', { replicas: 1 });
    await scenario.reaches('hello', 'running');
    const [instance] = await eventually(() => slow.serving('hello').length === 1 && slow.serving('hello'), {
      withinMs,
    });
    slow.isStuck = true;
    proxy.busy = new Set([instance!]);
    await scenario.put('hello', { replicas: 0 });
    await eventually(() => expect(proxy.sets.get('hello')!.endpoints).toMatchObject([{ state: 'draining' }]), {
      withinMs,
    });
    const reasonOf = async () => (await scenario.instancesOf('hello'))[0]?.reason;
    await eventually(async () => expect(await reasonOf()).toBe('waits for proxy-b to send it no more requests'), {
      withinMs,
    });
    slow.isStuck = false;
    await eventually(async () => expect(await reasonOf()).toContain('those in flight may take'), { withinMs });
    expect(agent.running.get(instance!)).toMatchObject({ state: 'ready' });
    proxy.busy = new Set();
    await scenario.reaches('hello', 'stopped');
    await eventually(() => expect(agent.running.size).toBe(0), { withinMs });
  });

  it('is deleted: drained, ended, and gone for proxies too', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello', { replicas: 2 });
    await scenario.reaches('hello', 'running');
    expect(await scenario.delete('hello')).toMatchObject({
      status: { state: 'deleting' },
    });
    await scenario.isGone('hello');
    await eventually(() => expect(proxy.sets.size + agent.running.size).toBe(0), { withinMs });
    await expect(scenario.delete('hello')).rejects.toMatchObject({
      code: 'not_found',
    });
    expect(await scenario.put('hello', { replicas: 0 })).toMatchObject({ revision: 1, version: 1 });
  });

  it('that is put again while it is deleted lives on', async () => {
    const agent = scenario.join({ node: 'node-a', behave: () => ({ state: 'starting', reason: 'slow' }) });
    const { id } = await scenario.put('hello', { replicas: 1 });
    await eventually(async () => expect(await scenario.instancesOf('hello')).toMatchObject([{ state: 'starting' }]), {
      withinMs,
    });
    // As long as nobody says that its instance has ended, there is something to delete.
    await agent.stop();
    await scenario.delete('hello');
    expect(await scenario.put('hello', { replicas: 0 })).toMatchObject({ id, status: { state: 'progressing' } });
    agent.restart();
    await scenario.reaches('hello', 'stopped');
  });

  it('tells in words what is wrong with it', async () => {
    const agent = scenario.join({
      node: 'node-a',
      behave: () => ({ state: 'backoff', reason: 'exited with code 1; starts again in 4 s', exitCode: 1, restarts: 3 }),
    });
    await scenario.put('hello');
    // Before the agent has joined, it waits for one.
    const instance = await eventually(
      async () => {
        const { status } = await scenario.get('hello');
        const [placed] = await scenario.instancesOf('hello');
        expect(status).toMatchObject({
          state: 'degraded',
          reason: `0 of 1 replica ready at revision 1; ${placed?.id}: exited with code 1; starts again in 4 s`,
        });
        return placed;
      },
      { withinMs },
    );
    expect(instance).toMatchObject({ state: 'backoff', exitCode: 1, restarts: 3 });
    agent.set(instance!.id, { state: 'ready', reason: 'answers' });
    await scenario.reaches('hello', 'running');
    await scenario.put('large', { resources: { memoryBytes: 2 ** 34 } });
    const large = await scenario.reaches('large', 'degraded');
    expect(large.status.reason).toMatch(/no node has 16 GiB of memory free: node-a has [0-9.]+ GiB$/);
  });

  it('replaces an instance that its agent has given up', async () => {
    let failures = 0;
    scenario.join({
      node: 'node-a',
      behave: () => (failures++ === 0 ? { state: 'failed', reason: 'was not ready within 300 s' } : {}),
    });
    await scenario.put('hello');
    await scenario.reaches('hello', 'running');
    await eventually(async () => expect(await scenario.instancesOf('hello')).toHaveLength(1), { withinMs });
    expect(failures).toBe(2);
  });

  it('is refused with the field named when it cannot be', async () => {
    const invalid = { code: 'invalid_request' };
    await expect(
      scenario.put('hello', { env: { A: 'x'.repeat(32_000), B: 'x'.repeat(32_000), C: 'x'.repeat(32_000) } }),
    ).rejects.toMatchObject({ ...invalid, field: 'env' });
    await expect(scenario.put('hello', { env: { A: 'a\0b' } })).rejects.toMatchObject({ ...invalid, field: 'env.A' });
    await expect(scenario.put('hello', { command: [] })).rejects.toMatchObject({ ...invalid, field: 'command' });
    await expect(scenario.put('hello', { resources: { memoryBytes: 1 } })).rejects.toMatchObject({
      ...invalid,
      field: 'resources.memoryBytes',
    });
    await expect(
      scenario.compute.call(
        apps.list,
        { project: scenario.project.id, cursor: 'nonsense' },
        callerOf(scenario.project),
      ),
    ).rejects.toMatchObject({ ...invalid, field: 'cursor' });
    await expect(scenario.get('hello')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is refused a variable that a port is given in, and checks where nothing could be asked', async () => {
    const refused = (field: string, message: RegExp, spec: Parameters<Scenario['put']>[1]) =>
      expect(scenario.put('hello', spec)).rejects.toMatchObject({
        code: 'invalid_request',
        field,
        message: expect.stringMatching(message),
      });
    const ports = ['http', 'my-metrics'];
    await refused('env', /PORT_MY_METRICS is set by Alto, for the port my-metrics/, {
      ports,
      env: { PORT_MY_METRICS: '1' },
    });
    await refused('secrets', /PORT_MY_METRICS/, { ports, secrets: ['PORT_MY_METRICS'] });
    await refused('liveness', /no port http/, { ports: [], liveness: {} });
    await refused('readiness.path', /no port http/, { ports: ['metrics'], readiness: { path: '/healthz' } });
    await refused('ports', /must name each port once/, { ports: ['http', 'http'] });
    await refused('ports.0', /must be up to 15 of/, { ports: ['HTTP'] });
    await scenario.put('hello', {
      ports: [],
      replicas: 0,
      env: { PORT_METRICS: '1' },
      readiness: { deadlineMs: 5_000 },
    });
  });

  it('has further ports, which are part of its revision and shown of each instance', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello');
    await scenario.reaches('hello', 'running');
    const ports = ['http', 'metrics'];
    expect(await scenario.put('hello', { ports })).toMatchObject({ revision: 2, spec: { ports } });
    await scenario.reaches('hello', 'running', { updated: 1 });
    await eventually(async () => expect(await scenario.instancesOf('hello')).toHaveLength(1), { withinMs });
    const [instance] = await scenario.instancesOf('hello');
    const address = { ip: '127.0.0.1', port: expect.any(Number) };
    expect(instance).toMatchObject({ address, ports: { metrics: address } });
    expect(agent.instructions.instances.find(({ id }) => id === instance!.id)).toMatchObject({ ports });
    await eventually(
      () =>
        expect(proxy.sets.get('hello')!.endpoints).toMatchObject([{ instance: instance!.id, ...instance!.address }]),
      { withinMs },
    );
  });

  it('can be a worker, become one and be none any more', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    const known = (instances: number) =>
      eventually(() => expect(proxy.sets.get('hello')?.endpoints).toHaveLength(instances), { withinMs });
    await scenario.put('hello', { ports: [], replicas: 2 });
    await scenario.reaches('hello', 'running', { ready: 2 });
    expect((await scenario.instancesOf('hello')).map(({ address }) => address)).toEqual([null, null]);
    await known(0);
    await scenario.put('hello', { replicas: 2 });
    await scenario.reaches('hello', 'running', { updated: 2 });
    await known(2);
    await scenario.put('hello', { ports: [], replicas: 2 });
    await scenario.reaches('hello', 'running', { updated: 2 });
    await known(0);
    // It is in no proxy: one that applies nothing keeps it from nothing.
    proxy.isStuck = true;
    await scenario.put('hello', { ports: [], replicas: 1 });
    await eventually(() => expect(agent.running.size).toBe(1), { withinMs });
    await scenario.delete('hello');
    await scenario.isGone('hello');
  });

  it('of a release that knew one port alone has that, and is the same revision still', async () => {
    const stored = scenario.compute.app.get(Database);
    await scenario.put('hello', { replicas: 0 });
    await scenario.reaches('hello', 'stopped');
    const { rows } = await stored.query(
      `SELECT app.spec ? 'ports' OR template ? 'ports' OR placement ? 'ports' AS said FROM app, revision`,
    );
    expect(rows).toEqual([{ said: false }]);
    expect(await scenario.get('hello')).toMatchObject({ spec: { ports: ['http'] } });
    await scenario.put('hello', { replicas: 0, ports: ['http', 'metrics'] });
    expect(await scenario.put('hello', { replicas: 0, ports: ['http'] })).toMatchObject({ revision: 1 });
  });

  it('is a secret of its project', async () => {
    await scenario.put('hello', { replicas: 0 });
    const other = newTestProject();
    await expect(
      scenario.compute.call(apps.get, { project: other.id, app: 'hello' }, callerOf(other)),
    ).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(scenario.compute.call(apps.get, scenario.address('hello'), callerOf(other))).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(
      scenario.compute.call(
        apps.put,
        { command: ['node'], ...scenario.address('hello') },
        callerOf(scenario.project, 'viewer'),
      ),
    ).rejects.toMatchObject({ code: 'forbidden' });
    expect((await scenario.compute.call(apps.list, { project: other.id }, callerOf(other))).items).toEqual([]);
  });

  it('is listed by pages', async () => {
    for (const name of ['c', 'a', 'e', 'b', 'd']) await scenario.put(name, { replicas: 0 });
    const first = await scenario.compute.call(
      apps.list,
      { project: scenario.project.id, limit: 3 },
      callerOf(scenario.project),
    );
    const second = await scenario.compute.call(
      apps.list,
      { project: scenario.project.id, limit: 3, cursor: first.nextCursor },
      callerOf(scenario.project),
    );
    expect([...first.items, ...second.items].map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(second.nextCursor).toBeUndefined();
  });
});
