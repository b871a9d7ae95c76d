/** Two machines: an app spread over both is moved off one of them, and no user of it notices. */
import { fileURLToPath } from 'node:url';
import { type App, computeOperations, type Instance, type Node } from '@alto/contracts';
import { type Alto, type AltoMachine, eventually, startAlto, startNode } from '@alto/testing';
import { unnoticed } from './traffic';

const project = 'default';
const app = 'live';
const live = fileURLToPath(new URL('../../examples/live', import.meta.url));
const replicas = 4;
/** Often enough that a machine is heard several times before it counts as lost. */
const ALTO_NODE_SYNC_MS = '1000';

let alto: Alto;
let second: AltoMachine;

beforeAll(async () => {
  alto = await startAlto({
    env: {
      ALTO_NODE_NAME: 'first',
      ALTO_NODE_SYNC_MS,
      ALTO_DRAIN_TIMEOUT_MS: '4000',
      ALTO_NODE_LOST_AFTER_MS: '6000',
    },
  });
  second = await startNode(alto, { name: 'second', ports: '30000-30999', env: { ALTO_NODE_SYNC_MS } });
  await eventually(async () => expect(await stateOf('second')).toMatchObject({ state: 'ready', intake: 'open' }));
  await alto.command('deploy', live, '--host', '*');
  await alto.command('scale', app, String(replicas));
  const { spec } = await currentApp();
  await alto.client.call(computeOperations.apps.put, { project, app, ...spec, healthyMs: 500 });
  await settled();
}, 300_000);

afterAll(async () => {
  await second?.stop();
  await alto?.stop();
}, 300_000);

async function stateOf(name: string): Promise<Node> {
  const { items } = await alto.client.call(computeOperations.nodes.list, {});
  const node = items.find((one) => one.name === name);
  if (!node) throw new Error(`There is no node ${name}.`);
  return node;
}

async function currentApp(): Promise<App> {
  return await alto.client.call(computeOperations.apps.get, { project, app });
}

/** What became of those of a machine that is lost is not known, as long as it is. */
async function instances(): Promise<readonly Instance[]> {
  const { items } = await alto.client.call(computeOperations.instances.list, { project, app });
  return items.filter(({ state }) => state !== 'lost');
}

/** How many of the app's instances each machine has, by name. */
async function placed(): Promise<Record<string, number>> {
  const names = new Map([await stateOf('first'), await stateOf('second')].map(({ id, name }) => [id, name]));
  const found: Record<string, number> = {};
  for (const { node } of await instances()) {
    const name = names.get(node ?? '') ?? 'nowhere';
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}

async function settled(): Promise<void> {
  await eventually(
    async () => {
      expect((await currentApp()).status).toMatchObject({ state: 'running', ready: replicas, updated: replicas });
      expect(await instances()).toHaveLength(replicas);
    },
    { withinMs: 120_000 },
  );
}

describe('two machines', () => {
  it('share the instances of an app', async () => {
    expect(await placed()).toEqual({ first: 2, second: 2 });
    const running = (await second.status()).workloads;
    expect(running.map(({ kind }) => kind)).toEqual(['instance', 'instance']);
    expect(await second.command('doctor')).not.toContain('✗');
  });

  it('show the logs of all instances, wherever they run', async () => {
    const printed = await alto.command('logs', app);
    for (const { id } of await instances()) expect(printed).toContain(id.slice(-6));
  });

  it('one is drained under load: nothing fails, its instances serve on the other one', async () => {
    const answered = await unnoticed(alto, async () => {
      await alto.command('nodes', 'drain', 'second');
      await eventually(
        async () =>
          expect(await stateOf('second')).toMatchObject({
            intake: 'draining',
            used: { instances: 0 },
            reason: expect.stringMatching(/^drained/),
          }),
        { withinMs: 120_000 },
      );
      await settled();
    });
    expect(Object.keys(answered)).toEqual(['1']);
    expect(await placed()).toEqual({ first: replicas });
    await eventually(async () => expect((await second.status()).workloads).toEqual([]));
  }, 360_000);

  it('takes instances again once it is uncordoned', async () => {
    await alto.command('nodes', 'uncordon', 'second');
    await alto.command('restart', app);
    await settled();
    expect(Object.keys(await placed()).sort()).toEqual(['first', 'second']);
  }, 300_000);

  it('gets new credentials while what it runs goes on', async () => {
    const { nodeId, pid, workloads } = await second.status();
    await second.commandReading(await alto.command('nodes', 'token', '--node', nodeId), 'join');
    const after = await second.status();
    expect(after.nodeId).toBe(nodeId);
    expect(after.pid).not.toBe(pid);
    await eventually(async () => {
      const now = (await second.status()).workloads;
      expect(now.map((one) => [one.id, one.pid])).toEqual(workloads.map((one) => [one.id, one.pid]));
    });
    await eventually(async () => expect(await stateOf('second')).toMatchObject({ state: 'ready' }));
  }, 300_000);

  it('one is lost: the other one takes its instances, and it is welcome again', async () => {
    await second.crash();
    await eventually(async () => expect(await stateOf('second')).toMatchObject({ state: 'lost' }), {
      withinMs: 60_000,
    });
    expect(await alto.command('nodes')).toMatch(/second +lost/);
    await settled();
    expect(await placed()).toEqual({ first: replicas });
    await second.command('up', '--detach');
    await eventually(async () => expect(await stateOf('second')).toMatchObject({ state: 'ready', intake: 'open' }));
    await eventually(async () => expect((await second.status()).workloads).toEqual([]));
  }, 300_000);

  it('one is deleted once it is lost, and ends what it ran when it comes back after all', async () => {
    await expect(alto.command('nodes', 'delete', 'second')).rejects.toThrow('only one that is lost can be deleted');
    await alto.command('restart', app);
    await settled();
    const { id, used } = await stateOf('second');
    expect(used.instances).toBeGreaterThan(0);
    await second.crash();
    await eventually(async () => expect(await stateOf('second')).toMatchObject({ state: 'lost' }), {
      withinMs: 60_000,
    });
    expect(await alto.command('nodes', 'delete', 'second')).toContain('second is deleted');
    expect(await alto.command('nodes')).not.toContain('second');
    await settled();
    await second.command('up', '--detach');
    await eventually(async () => expect(await stateOf('second')).toMatchObject({ id, state: 'ready' }));
    await eventually(async () => expect((await second.status()).workloads).toEqual([]));
  }, 300_000);
});
