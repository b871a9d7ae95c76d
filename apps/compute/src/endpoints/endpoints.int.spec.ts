import { computeOperations } from '@alto/contracts';
import { Database } from '@alto/platform';
import { eventually, type NatsServer, startNats } from '@alto/testing';
import { Scenario, withinMs } from '../scenario.fake';

const { proxies } = computeOperations;
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

const ask = (appliedGeneration: number, listedTo?: number) =>
  scenario.compute.call(proxies.sync, {
    proxy: 'proxy-x',
    appliedGeneration,
    ...(listedTo !== undefined && { listedTo }),
  });

const sql = (text: string) => scenario.compute.app.get(Database).query<{ generation: number }>(text);

describe('endpoint sets', () => {
  it('are all in the answer to a proxy that knows nothing, and only the changed ones in later answers', async () => {
    for (const app of ['one', 'two', 'three']) {
      await scenario.put(app, { replicas: 0 });
      await scenario.reaches(app, 'stopped');
    }
    const everything = await ask(0);
    expect(everything).toMatchObject({ generation: 3, complete: true });
    expect(everything.sets.map(({ appName, endpoints }) => [appName, endpoints])).toEqual([
      ['one', []],
      ['two', []],
      ['three', []],
    ]);
    expect(await ask(2)).toMatchObject({ generation: 3, complete: false, sets: [{ appName: 'three' }] });
    expect(await ask(3)).toEqual({ generation: 3, complete: false, sets: [] });
    await scenario.delete('one');
    await scenario.isGone('one');
    expect(await ask(3)).toMatchObject({ generation: 4, sets: [{ appName: 'one', deleted: true, endpoints: [] }] });
  });

  it('are given whole to a proxy that is ahead, as after the database was set back', async () => {
    await scenario.put('one', { replicas: 0 });
    await scenario.reaches('one', 'stopped');
    expect(await ask(1_000)).toMatchObject({ generation: 1, complete: true, sets: [{ appName: 'one' }] });
  });

  it('are given whole to a proxy that has been away for longer than deletions are remembered', async () => {
    for (const app of ['one', 'two', 'three']) {
      await scenario.put(app, { replicas: 0 });
      await scenario.reaches(app, 'stopped');
    }
    await scenario.delete('two');
    await scenario.isGone('two');
    await sql("UPDATE endpoint_set SET updated_at = updated_at - interval '2 days' WHERE deleted");
    await scenario.stopCompute(scenario.compute);
    await scenario.startCompute();
    await eventually(
      async () => expect((await sql('SELECT generation FROM endpoint_set WHERE deleted')).rows).toEqual([]),
      { withinMs },
    );
    const answer = await ask(3);
    expect(answer).toMatchObject({ generation: 3, complete: true });
    expect(answer.sets.map(({ appName }) => appName)).toEqual(['one', 'three']);
  });

  it('are listed page by page to the end where they are more than an answer holds, also to who was away for long', async () => {
    await sql(`INSERT INTO endpoint_set (app, app_name, project, project_name, generation, deleted, endpoints, updated_at)
      SELECT 'app_' || lpad(n::text, 26, '0'), 'app-' || n, 'prj_' || lpad('1', 26, '0'), 'acme', n, false, '[]', now()
      FROM generate_series(1, 1200) AS n`);
    for (const [pruned, applied] of [
      [0, 0],
      [1_150, 3],
      [0, 9_999],
    ]) {
      await sql(`UPDATE endpoint_counter SET generation = 1200, pruned = ${pruned}`);
      const names = new Set<string>();
      let page = await ask(applied!);
      for (; page.more === true; page = await ask(applied!, page.generation)) {
        expect(page.complete).toBe(false);
        for (const { appName } of page.sets) names.add(appName);
      }
      for (const { appName } of page.sets) names.add(appName);
      expect(page).toMatchObject({ complete: true, generation: 1_200 });
      expect(names.size).toBe(1_200);
      expect(await ask(1_200)).toEqual({ generation: 1_200, complete: false, sets: [] });
    }
  });

  it('keep no instance waiting for a proxy whose place another one has taken', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello');
    await scenario.reaches('hello', 'running');
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(1), { withinMs });
    await proxy.stop();
    scenario.addProxy('proxy-b');
    await scenario.put('hello', { replicas: 0 });
    await eventually(
      async () => expect((await scenario.instancesOf('hello'))[0]?.reason).toContain('waits for proxy-a'),
      { withinMs },
    );
    await scenario.reaches('hello', 'stopped');
    await eventually(() => expect(agent.running.size).toBe(0), { withinMs });
  });

  it('keep all that serves while no proxy is heard, for each still sends requests as it last knew', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello');
    await scenario.reaches('hello', 'running');
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(1), { withinMs });
    const before = proxy.serving('hello');
    await proxy.stop();
    await scenario.put('hello', { env: { VERSION: '2' } });
    const silent = 'proxy-a (not heard of: `alto services` says how load-balancer is)';
    await eventually(
      async () => {
        const { status } = await scenario.get('hello');
        expect(status.rollout).toMatchObject({
          phase: 'running',
          reason: `waits for ${silent} to apply the new endpoints`,
        });
      },
      { withinMs },
    );
    // As far as it comes: the new one is ready, and the old one serves whoever is sent to it.
    expect(agent.running.size).toBe(2);
    expect([...agent.running.keys()]).toEqual(expect.arrayContaining(before));
    proxy.start();
    await scenario.reaches('hello', 'running', { updated: 1 });
    await eventually(() => expect([...agent.running.keys()]).toEqual(proxy.serving('hello')), { withinMs });
    expect(proxy.serving('hello')).not.toEqual(before);
  });

  it('leave out an instance that cannot serve, until it can again', async () => {
    const agent = scenario.join({ node: 'node-a' });
    const proxy = scenario.addProxy('proxy-a');
    await scenario.put('hello', { replicas: 2 });
    await scenario.reaches('hello', 'running');
    const [first] = [...agent.running.keys()];
    agent.set(first!, { state: 'running', reason: 'GET / answers 500' });
    const { status } = await scenario.reaches('hello', 'degraded', { ready: 1 });
    expect(status.reason).toContain(`${first}: GET / answers 500`);
    await eventually(() => expect(proxy.serving('hello')).not.toContain(first), { withinMs });
    agent.set(first!, { state: 'ready', reason: 'answers' });
    await scenario.reaches('hello', 'running', { ready: 2 });
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(2), { withinMs });
  });
});
