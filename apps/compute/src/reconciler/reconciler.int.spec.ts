import { Module, type Type } from '@nestjs/common';
import { Database, type Lease } from '@alto/platform';
import { eventually, type NatsServer, startNats } from '@alto/testing';
import { ComputeModule } from '../compute.module';
import type { ScriptedProxy } from '../endpoints/proxy.fake';
import type { ScriptedAgent } from '../nodes/agent.fake';
import type { AppPlan } from '../placement/planner';
import { Scenario, withinMs } from '../scenario.fake';
import { Cluster, ClusterPort } from './cluster';

let nats: NatsServer;
let scenario: Scenario;
let agent: ScriptedAgent;
let proxy: ScriptedProxy;

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  scenario = await Scenario.begin(nats, { serving: false });
});
afterEach(() => scenario.end());

/** Compute as it is, but for what its reconciler sees of the cluster. */
function computeWith(wrap: (cluster: Cluster) => ClusterPort): Type {
  const metadata = (key: string) => Reflect.getMetadata(key, ComputeModule) as never[];
  const wrapped = { provide: ClusterPort, useFactory: wrap, inject: [Cluster] };
  class Compute {}
  Module({ controllers: metadata('controllers'), providers: [...metadata('providers'), Cluster, wrapped] })(Compute);
  return Compute;
}

/** Passes everything on, and lets a test stand between the reconciler and its commits. */
function intercepting(commit: (real: () => Promise<void>, lease: Lease, plan: AppPlan) => Promise<void>) {
  return (cluster: Cluster): ClusterPort =>
    new Proxy(cluster as ClusterPort, {
      get(target, key) {
        if (key === 'commit') {
          return (lease: Lease, plan: AppPlan) => commit(() => target.commit(lease, plan), lease, plan);
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
}

/** Dies at the n-th commit: that one and all that follow fail, before or after they have taken effect. */
function dyingAt(call: number, when: 'before' | 'after') {
  const state = { calls: 0, dead: false };
  const module = computeWith(
    intercepting(async (real) => {
      state.calls += 1;
      if (state.calls === call && when === 'after') await real();
      if (state.calls >= call) state.dead = true;
      if (state.dead) throw new Error(`died at commit ${call}`);
      await real();
    }),
  );
  return { state, module };
}

/** A rollout and a scaling, from a running app; then everything is deleted. */
async function liveOn(): Promise<void> {
  await scenario.reaches('hello', 'running', { ready: 2, updated: 2 });
  await eventually(async () => expect(await scenario.instancesOf('hello')).toHaveLength(2), { withinMs });
  await eventually(() => expect(proxy.serving('hello').sort()).toEqual([...agent.running.keys()].sort()), { withinMs });
  expect(agent.running.size).toBe(2);
  await scenario.delete('hello');
  await scenario.isGone('hello');
  await eventually(() => expect(proxy.sets.size + agent.running.size).toBe(0), { withinMs });
}

async function begin(): Promise<void> {
  agent = scenario.join({ node: 'node-a' });
  proxy = scenario.addProxy('proxy-a');
  await eventually(async () => expect(await scenario.nodes()).toHaveLength(1), { withinMs });
}

describe('the reconciler', () => {
  it.each(['before', 'after'] as const)(
    'killed %s any one of its commits is followed by another that finishes',
    async (when) => {
      for (let call = 1; ; call++) {
        const { state, module } = dyingAt(call, when);
        const first = await scenario.startCompute(module);
        await begin();
        await scenario.put('hello', { replicas: 1 });
        await eventually(async () => state.dead || (await scenario.get('hello')).status.state === 'running', {
          withinMs,
        });
        if (!state.dead) await scenario.put('hello', { replicas: 2, env: { VERSION: '2' } });
        await eventually(async () => state.dead || (await scenario.instancesOf('hello')).length === 2, { withinMs });
        if (!state.dead) break;
        await scenario.put('hello', { replicas: 2, env: { VERSION: '2' } });
        await scenario.startCompute();
        await scenario.stopCompute(first);
        await liveOn();
        await scenario.end();
        scenario = await Scenario.begin(nats, { serving: false });
      }
    },
    240_000,
  );

  it('that has lost its lease in the middle of a commit changes nothing, and its successor goes on', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    const refused: unknown[] = [];
    const held: { token?: number; plan?: AppPlan } = {};
    await scenario.startCompute(
      computeWith(
        intercepting(async (real, lease, plan) => {
          Object.assign(held, { token: held.token ?? lease.token, plan: held.plan ?? plan });
          await released;
          await real().catch((error: unknown) => refused.push(error));
        }),
      ),
    );
    await begin();
    await scenario.put('hello', { replicas: 2 });
    await eventually(() => held.plan !== undefined, { withinMs });
    const successor = await scenario.startCompute();
    await eventually(
      async () => {
        await expire(successor.app.get(Database));
        expect((await scenario.get('hello')).status.state).toBe('running');
      },
      { withinMs },
    );
    // The successor goes on noting how healthy they are; what the late plan would change is which there are.
    const which = async () =>
      (await scenario.instancesOf('hello')).map(({ id, node, revision, state }) => ({ id, node, revision, state }));
    const before = { instructions: agent.instructions, instances: await which() };
    expect(before.instructions.fencingToken).toBeGreaterThan(held.token!);
    release();
    await eventually(() => expect(refused).toMatchObject([{ code: 'stale_writer' }]), { withinMs });
    await agent.sync();
    expect(agent.instructions).toEqual(before.instructions);
    expect(await which()).toEqual(before.instances);
    await liveOn();
  });

  it('goes on with other apps when the plan of one cannot be carried out', async () => {
    await scenario.startCompute(
      computeWith(
        intercepting(async (real, _lease, { app }) => {
          if (app.name === 'bad') throw new Error('a bug that concerns one app');
          await real();
        }),
      ),
    );
    await begin();
    await scenario.put('bad');
    await scenario.put('good');
    await scenario.reaches('good', 'running');
    expect(await scenario.instancesOf('bad')).toEqual([]);
  });

  it('is one at a time among several instances of compute, each of which serves', async () => {
    const first = await scenario.startCompute();
    await scenario.startCompute();
    await begin();
    await scenario.put('hello', { replicas: 2 });
    await scenario.reaches('hello', 'running');
    await scenario.stopCompute(first);
    await scenario.put('hello', { replicas: 2, env: { VERSION: '2' } });
    await liveOn();
  });

  it('writes the events of each app and instance in the order of its versions', async () => {
    const compute = await scenario.startCompute();
    await begin();
    const app = await scenario.put('hello', { replicas: 1 });
    await scenario.reaches('hello', 'running');
    await scenario.put('hello', { replicas: 1, env: { VERSION: '2' } });
    await scenario.reaches('hello', 'running');
    await scenario.delete('hello');
    await scenario.isGone('hello');
    const { rows } = await compute.app
      .get(Database)
      .query<{ resource: string; version: number; subject: string }>(
        'SELECT resource, resource_version::integer AS version, subject FROM alto_outbox ORDER BY position',
      );
    const byResource = Map.groupBy(rows, ({ resource }) => resource);
    for (const events of byResource.values()) {
      const versions = events.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    }
    const verbs = byResource.get(app.id)!.map(({ subject }) => subject.split('.').slice(-2).join('.'));
    expect(verbs).toEqual(['apps.created', 'apps.ready', 'apps.updated', 'apps.ready', 'apps.deleted']);
    expect(rows[0]!.subject).toBe('alto.events.cluster.compute.nodes.ready');
    expect(byResource.size).toBe(4);
  });
});

/** As if the holder had been frozen for longer than its lease lasts. */
async function expire(database: Database): Promise<void> {
  await database.query(
    "UPDATE alto_lease_heartbeat SET expires_at = clock_timestamp() WHERE name = 'compute.reconciler' AND fencing = 1",
  );
}
