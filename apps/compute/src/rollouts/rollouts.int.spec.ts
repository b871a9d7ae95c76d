import { type App, computeOperations, type DesiredInstance, nodeAgentOperations } from '@alto/contracts';
import { Database } from '@alto/platform';
import { callerOf, eventually, type NatsServer, startNats } from '@alto/testing';
import { answering, type Answering } from '../answering.fake';
import type { ScriptedProxy } from '../endpoints/proxy.fake';
import type { Behaviour, ScriptedAgent } from '../nodes/agent.fake';
import { Scenario, withinMs } from '../scenario.fake';

const { apps, nodes, rollouts } = computeOperations;

let nats: NatsServer;
let scenario: Scenario;
let agent: ScriptedAgent;
let proxy: ScriptedProxy;
const others: Answering[] = [];

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  scenario = await Scenario.begin(nats);
  agent = scenario.join({ node: 'node-a' });
  proxy = scenario.addProxy('proxy-a');
});
afterEach(async () => {
  await Promise.all(others.splice(0).map((other) => other.stop()));
  await scenario.end();
});

const replicas = 3;
const version = (name: string) => ({ replicas, env: { VERSION: name } });
const versionOf = ({ env }: DesiredInstance) => env['VERSION'];

/** Every instance of the version behaves so; the others are ready. */
function behaving(name: string, behaviour: Behaviour): void {
  agent.behave = (instance) => (versionOf(instance) === name ? behaviour : {});
}

/** Puts version 1, waits until it is the good one, and then watches that it is never short of an instance. */
async function serving(): Promise<{ least: () => number }> {
  await scenario.put('hello', version('1'));
  await phaseIs('completed');
  await eventually(() => expect(proxy.serving('hello')).toHaveLength(replicas), { withinMs });
  const served: number[] = [];
  proxy.onApplied = ({ endpoints }) => {
    served.push(endpoints.filter(({ state, weight }) => state === 'ready' && weight !== 0).length);
  };
  return { least: () => Math.min(replicas, ...served) };
}

function phaseIs(phase: NonNullable<App['status']['rollout']>['phase'], to?: number): Promise<App> {
  return eventually(
    async () => {
      const app = await scenario.get('hello');
      expect(app.status.rollout).toMatchObject({ phase, ...(to !== undefined && { to }) });
      return app;
    },
    { withinMs },
  );
}

const newInstances = () => [...agent.instructions.instances].filter((instance) => versionOf(instance) !== '1');

async function isBackAt(revision: number): Promise<App> {
  const app = await scenario.reaches('hello', 'rolled_back', { ready: replicas, updated: replicas });
  expect(app).toMatchObject({ revision, spec: { env: { VERSION: '1' } } });
  await eventually(async () => expect(await scenario.instancesOf('hello')).toHaveLength(replicas), { withinMs });
  return app;
}

const asDeveloper = () => callerOf(scenario.project);

describe('a bad version', () => {
  it('that crashes at once is reverted with the reason and the last words of the failing instance', async () => {
    const { least } = await serving();
    others.push(
      await answering(
        nats.url,
        nodeAgentOperations.logs.read,
        ({ instances }) => ({
          lines: [{ instance: instances[0]!, stream: 'output' as const, time: null, text: 'cannot find module x' }],
          cursor: '1',
        }),
        'node-a',
      ),
    );
    behaving('2', { state: 'backoff', reason: 'ended with code 1', restarts: 3, exitCode: 1 });
    await scenario.put('hello', version('2'));
    const { status } = await isBackAt(1);
    const { failingInstance, ...rollout } = status.rollout!;
    expect(rollout).toMatchObject({ phase: 'rolled_back', from: 1, to: 2, lastLogLines: ['cannot find module x'] });
    expect(rollout.reason).toBe(`revision 2 failed: ${failingInstance} crashed 3 times`);
    expect(status.reason).toContain('rolled back to revision 1');
    expect(least()).toBe(replicas);
    const before = (await scenario.get('hello')).version;
    const started = agent.started.size;
    await scenario.put('other');
    await scenario.reaches('other', 'running');
    expect([(await scenario.get('hello')).version, agent.started.size]).toEqual([before, started + 1]);
  });

  it('that was scaled to none before it was judged is judged once there are replicas, and reverted', async () => {
    await scenario.put('hello', version('1'));
    await phaseIs('completed');
    behaving('2', { state: 'backoff', reason: 'ended with code 1', restarts: 3, exitCode: 1 });
    await scenario.put('hello', { ...version('2'), replicas: 0 });
    await scenario.reaches('hello', 'stopped');
    const { status } = await phaseIs('completed', 2);
    expect(status.rollout!.reason).toBe('there are no replicas; revision 2 is judged once there are');
    const trial = await scenario.put('hello', { ...version('2'), dryRun: 'true' });
    expect(trial).toMatchObject({ plan: { rollout: 'rolling', revision: 2, newRevision: false } });
    expect(trial.plan!.steps).toContain('if it fails, it goes back to revision 1');
    await scenario.compute.call(apps.scale, { ...scenario.address('hello'), replicas }, callerOf(scenario.project));
    const back = await isBackAt(1);
    expect(back.status.rollout).toMatchObject({ phase: 'rolled_back', from: 1, to: 2 });
  });

  it('that never becomes ready is reverted at its readiness deadline', async () => {
    const { least } = await serving();
    behaving('2', { state: 'starting', reason: 'answers 500' });
    await scenario.put('hello', { ...version('2'), readiness: { deadlineMs: 1_000 } });
    const { status } = await isBackAt(1);
    expect(status.rollout!.reason).toContain('was not ready within 1 s');
    expect(least()).toBe(replicas);
  });

  it('that fails after it was ready is reverted before it has replaced more than one', async () => {
    const { least } = await serving();
    await scenario.put('hello', { ...version('2'), healthyMs: 60_000 });
    const [bad] = await eventually(() => newInstances().length > 0 && newInstances(), { withinMs });
    const isSeen = (state: string, restarts: number) =>
      eventually(
        async () => {
          const found = (await scenario.instancesOf('hello')).find(({ id }) => id === bad!.id);
          expect(found).toMatchObject({ state, restarts });
        },
        { withinMs },
      );
    for (const crash of [1, 2]) {
      await isSeen('ready', crash - 1);
      agent.set(bad!.id, { state: 'backoff', reason: 'ended with code 1', restarts: crash });
      await isSeen('backoff', crash);
      agent.set(bad!.id, { state: 'ready', reason: 'answers', restarts: crash });
    }
    await isSeen('ready', 2);
    agent.set(bad!.id, { state: 'backoff', reason: 'ended with code 1', restarts: 3 });
    await isBackAt(1);
    expect([...agent.started].length).toBe(replicas + 1);
    expect(least()).toBe(replicas);
  });

  it('that comes no further is reverted at its progress deadline', async () => {
    const { least } = await serving();
    await scenario.put('hello', { ...version('2'), resources: { memoryBytes: 2 ** 40 }, progressDeadlineMs: 1_000 });
    const { status } = await isBackAt(1);
    expect(status.rollout!.reason).toContain('it came no further for 1 s');
    expect(least()).toBe(replicas);
  });

  it('that is stuck is superseded by a newer change', async () => {
    const { least } = await serving();
    behaving('2', { state: 'starting', reason: 'answers 500' });
    await scenario.put('hello', version('2'));
    await eventually(() => newInstances().length > 0, { withinMs });
    await scenario.put('hello', version('3'));
    const { status } = await phaseIs('completed', 3);
    expect(status).toMatchObject({ state: 'running', ready: replicas, updated: replicas });
    expect(least()).toBe(replicas);
    const listed = await scenario.compute.call(rollouts.list, scenario.address('hello'), asDeveloper());
    expect(listed.items.map(({ to, phase }) => [to, phase])).toEqual([
      [3, 'completed'],
      [2, 'superseded'],
      [1, 'completed'],
    ]);
    const second = await scenario.compute.call(
      rollouts.get,
      { ...scenario.address('hello'), rollout: 2 },
      asDeveloper(),
    );
    expect(second).toMatchObject({ reason: 'revision 3 has taken its place', endedAt: expect.any(String) });
  });

  it('stays where it is when it may not be reverted, and what serves goes on', async () => {
    const { least } = await serving();
    behaving('2', { state: 'backoff', reason: 'ended with code 1', restarts: 3 });
    await scenario.put('hello', { ...version('2'), autoRevert: false });
    const { revision } = await phaseIs('failed', 2);
    expect(revision).toBe(2);
    expect(proxy.serving('hello')).toHaveLength(replicas);
    expect(least()).toBe(replicas);
    await scenario.compute.call(apps.rollback, scenario.address('hello'), asDeveloper());
    await phaseIs('completed', 1);
  });
});

describe('a version that is ready and answers 500', () => {
  /** Requests go on until the test ends, also while compute does not look. */
  function underLoad(failing: (instance: string) => number): () => void {
    const timer = setInterval(() => proxy.request('hello', 20, failing), 50);
    return () => clearInterval(timer);
  }

  const isNew = (instance: string) => newInstances().some(({ id }) => id === instance);
  const canary = (holdMs: number) => ({ strategy: { kind: 'canary' as const, steps: [{ weight: 20, holdMs }] } });

  it('is reverted at the first step of its canary, with both rates', async () => {
    const { least } = await serving();
    const stop = underLoad((instance) => (isNew(instance) ? 5 : 0));
    try {
      await scenario.put('hello', { ...version('2'), ...canary(600_000) });
      const { status } = await isBackAt(1);
      expect(status.rollout!.reason).toMatch(/^revision 2 failed: 25 % of \d+ requests failed, 0 % on revision 1$/);
      expect(agent.started.size).toBe(replicas + 1);
      expect(least()).toBe(replicas);
      const { rows } = await scenario.compute.app.get(Database).query('SELECT * FROM rollout_traffic');
      expect(rows).toEqual([]);
    } finally {
      stop();
    }
  });

  it('is reverted however short its step is: proxies are asked before it goes on', async () => {
    await serving();
    const second = scenario.addProxy('proxy-b');
    await eventually(() => expect(second.serving('hello')).toHaveLength(replicas), { withinMs });
    // What it has counted before is told by each report, so that what comes within the rollout can be told from it.
    second.request('hello', 1);
    second.onApplied = () => second.request('hello', 30, (instance) => (isNew(instance) ? 30 : 0));
    await scenario.put('hello', { ...version('2'), ...canary(0) });
    const { status } = await isBackAt(1);
    expect(status.rollout!.reason).toContain('100 % of 30 requests failed, 0 % on revision 1');
    expect(agent.started.size).toBe(replicas + 1);
  });

  it('is reverted in a rolling update, and goes on where the old one fails as much', async () => {
    const { least } = await serving();
    const stopBad = underLoad((instance) => (isNew(instance) ? 20 : 0));
    try {
      await scenario.put('hello', { ...version('2'), healthyMs: 60_000 });
      const { status } = await isBackAt(1);
      expect(status.rollout!.reason).toContain(
        `requests to ${status.rollout!.failingInstance} failed, 0 % on revision 1`,
      );
    } finally {
      stopBad();
    }
    const stopAll = underLoad(() => 20);
    try {
      await scenario.put('hello', { ...version('3'), healthyMs: 500 });
      await phaseIs('completed', 3);
      expect(least()).toBe(replicas);
    } finally {
      stopAll();
    }
  });
});

it('has proxies report often for as long as it is judged by them, and tells them when that begins', async () => {
  await serving();
  await eventually(() => expect(proxy.reportWithinMs).toBeUndefined(), { withinMs });
  let nudges = 0;
  const subscription = scenario.watchNudges('proxy-a', () => nudges++);
  // It takes no requests yet, so there is nothing else that they would be told of.
  behaving('2', { state: 'starting', reason: 'answers nothing' });
  await scenario.put('hello', version('2'));
  await eventually(() => expect(proxy.reportWithinMs).toBe(1_000), { withinMs });
  await eventually(() => expect(nudges).toBeGreaterThan(0), { withinMs });
  await scenario.compute.call(apps.rollback, scenario.address('hello'), asDeveloper());
  await phaseIs('completed', 1);
  await eventually(() => expect(proxy.reportWithinMs).toBeUndefined(), { withinMs });
  subscription.unsubscribe();
});

describe('a good version', () => {
  it('goes to a few requests first, then to more, then to all, as a canary', async () => {
    const { least } = await serving();
    const shares: number[] = [];
    const watch = proxy.onApplied;
    proxy.onApplied = (set) => {
      watch(set);
      const ready = set.endpoints.filter(({ state }) => state === 'ready');
      const isNew = new Set(newInstances().map(({ id }) => id));
      const weight = (some: typeof ready) => some.reduce((sum, endpoint) => sum + (endpoint.weight ?? 100), 0);
      const share = weight(ready.filter(({ instance }) => isNew.has(instance))) / weight(ready);
      shares.push(Math.round(share * 100));
    };
    const steps = [
      { weight: 10, holdMs: 100 },
      { weight: 50, holdMs: 100 },
    ];
    await scenario.put('hello', { ...version('2'), strategy: { kind: 'canary', steps } });
    await phaseIs('completed', 2);
    const reached = shares.filter((share, index) => share > 0 && share !== shares[index - 1]);
    expect(reached.slice(0, 2)).toEqual([10, 50]);
    expect(reached.at(-1)).toBe(100);
    expect(reached).toEqual([...reached].sort((a, b) => a - b));
    expect(least()).toBe(replicas);
  });

  it('takes over all requests at once when blue-green, and only when all of it is there', async () => {
    await serving();
    const seen: string[] = [];
    proxy.onApplied = ({ endpoints }) => {
      const isNew = new Set(newInstances().map(({ id }) => id));
      const taking = endpoints.filter(({ state, weight }) => state === 'ready' && weight !== 0);
      const counts = [true, false].map(
        (wanted) => taking.filter(({ instance }) => isNew.has(instance) === wanted).length,
      );
      seen.push(counts.join('/'));
    };
    await scenario.put('hello', { ...version('2'), strategy: { kind: 'blue-green' } });
    await phaseIs('completed', 2);
    expect([...new Set(seen)]).toEqual(['0/3', '3/0']);
  });

  it('is rolled back to the one before, restarted and scaled', async () => {
    const { least } = await serving();
    await scenario.put('hello', version('2'));
    await phaseIs('completed', 2);
    const back = await scenario.compute.call(apps.rollback, scenario.address('hello'), asDeveloper());
    expect(back).toMatchObject({ revision: 1, spec: { env: { VERSION: '1' } } });
    await phaseIs('completed', 1);
    const started = agent.started.size;
    const again = await scenario.compute.call(apps.restart, scenario.address('hello'), asDeveloper());
    expect(again).toMatchObject({ revision: 3, spec: back.spec });
    await phaseIs('completed', 3);
    expect(agent.started.size).toBe(started + replicas);
    expect(least()).toBe(replicas);
    await scenario.compute.call(apps.scale, { ...scenario.address('hello'), replicas: 5 }, asDeveloper());
    await scenario.reaches('hello', 'running', { ready: 5 });
    expect((await scenario.get('hello')).revision).toBe(3);
    await expect(
      scenario.compute.call(apps.rollback, { ...scenario.address('hello'), to: 99 }, asDeveloper()),
    ).rejects.toMatchObject({ code: 'unprocessable', field: 'to' });
  });

  it('is shown as a plan by a dry run that changes nothing', async () => {
    await serving();
    const before = await scenario.get('hello');
    const strategy = { kind: 'blue-green' } as const;
    const { plan } = await scenario.put('hello', { ...version('2'), replicas: 4, strategy, dryRun: 'true' });
    expect(plan).toMatchObject({
      changes: ['env', 'replicas', 'strategy'],
      revision: 2,
      newRevision: true,
      rollout: 'blue-green',
    });
    expect(plan!.steps).toContain('if it fails, it goes back to revision 1');
    expect(await scenario.get('hello')).toEqual(before);
    const fresh = await scenario.put('other', { dryRun: 'true' });
    expect(fresh).toMatchObject({ plan: { revision: 1, newRevision: true } });
    await expect(scenario.get('other')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is told beforehand which of its instances would find no place, and why', async () => {
    await serving();
    const large = { memoryBytes: 3 * 2 ** 30 };
    const { plan } = await scenario.put('other', { replicas: 4, resources: large, dryRun: 'true' });
    expect(plan!.steps.at(-1)).toMatch(
      /^as things stand 2 of 4 new instances find no place and would wait: no node has 3 GiB of memory free: node-a has 1\.6 GiB$/,
    );
    const surge = await scenario.put('hello', { ...version('2'), resources: { cpuMillis: 9_000 }, dryRun: 'true' });
    expect(surge.plan!.steps.at(-1)).toContain(
      'its new instance finds no place and would wait: no node has 9 CPUs free',
    );
  });
});

describe('a node', () => {
  const operator = () => callerOf(null, 'operator');

  it('takes nothing new while it is cordoned, and says so', async () => {
    await serving();
    await eventually(async () => expect(await scenario.nodes()).toHaveLength(1), { withinMs });
    const cordoned = await scenario.compute.call(nodes.cordon, { node: 'node-a' }, operator());
    expect(cordoned).toMatchObject({ intake: 'cordoned', reason: 'cordoned: it takes no new instances' });
    await scenario.compute.call(apps.scale, { ...scenario.address('hello'), replicas: 4 }, asDeveloper());
    const { status } = await scenario.reaches('hello', 'degraded', { ready: 3 });
    expect(status.reason).toContain('node-a is cordoned');
    await scenario.compute.call(nodes.uncordon, { node: 'node-a' }, operator());
    await scenario.reaches('hello', 'running', { ready: 4 });
  });

  it('is drained one instance at a time, each replaced before it goes', async () => {
    const { least } = await serving();
    scenario.join({ node: 'node-b' });
    await eventually(async () => expect(await scenario.nodes()).toHaveLength(2), { withinMs });
    await scenario.compute.call(nodes.drain, { node: 'node-a' }, operator());
    await eventually(
      async () => {
        const placed = (await scenario.instancesOf('hello')).map(({ node, state }) => `${node} ${state}`);
        expect(placed).toEqual(Array.from({ length: replicas }, () => 'node-b ready'));
      },
      { withinMs },
    );
    expect(least()).toBe(replicas);
    expect((await scenario.nodes())[0]).toMatchObject({
      intake: 'draining',
      reason: 'drained: nothing runs on it, and it takes no new instances',
    });
  });
});
