/**
 * Two instances of compute: the one at work is killed in the middle of a rollout, its successor is paused in another. Then
 * the load balancer stands still while an app is rolled out.
 */
import { fileURLToPath } from 'node:url';
import { type App, computeOperations, type Instance } from '@alto/contracts';
import { type Alto, type AltoWorkload, eventually, startAlto } from '@alto/testing';
import { unnoticed } from '../e2e/traffic';

const project = 'default';
const app = 'live';
const live = fileURLToPath(new URL('../../examples/live', import.meta.url));
const replicas = 3;
/** A lease of a dead or frozen holder is taken over within 15 s; the rollout then goes on. */
const convergesWithinMs = 120_000;

let alto: Alto;

beforeAll(async () => {
  alto = await startAlto({ env: { ALTO_DRAIN_TIMEOUT_MS: '3000', ALTO_PROXY_EXPIRES_AFTER_MS: '7000' } });
  await alto.command('services', 'scale', 'compute', '2');
  await alto.command('deploy', live, '--host', '*');
  await alto.command('scale', app, String(replicas));
  const { spec } = await currentApp();
  // Slow enough that something can happen in the middle.
  await alto.client.call(computeOperations.apps.put, { project, app, ...spec, healthyMs: 2_000 });
  await settled();
}, 300_000);

afterAll(async () => {
  await alto?.stop();
}, 300_000);

async function currentApp(): Promise<App> {
  return await alto.client.call(computeOperations.apps.get, { project, app });
}

async function instances(): Promise<readonly Instance[]> {
  return (await alto.client.call(computeOperations.instances.list, { project, app })).items;
}

/** Every replica is of the newest revision and serves, and nothing else is left. */
async function settled(): Promise<void> {
  await eventually(
    async () => {
      const { status, revision } = await currentApp();
      expect(status).toMatchObject({ state: 'running', ready: replicas, updated: replicas });
      expect(status.rollout).toMatchObject({ phase: 'completed' });
      expect((await instances()).map((instance) => instance.revision)).toEqual(Array(replicas).fill(revision));
    },
    { withinMs: convergesWithinMs },
  );
}

/** Begins a rollout and waits until it is in the middle: an instance of the new revision serves, not all do. */
async function halfRolledOut(version: string): Promise<void> {
  const { spec } = await currentApp();
  const change = { ...spec, env: { VERSION: version }, strategy: { kind: 'rolling' as const } };
  const { revision } = await alto.client.call(computeOperations.apps.put, { project, app, ...change });
  await eventually(
    async () => {
      const updated = (await instances()).filter((one) => one.revision === revision && one.state === 'ready').length;
      expect(updated).toBeGreaterThan(0);
      expect(updated).toBeLessThan(replicas);
    },
    { withinMs: 120_000, everyMs: 100 },
  );
}

/** The instance of compute that reconciles, and no other does. */
async function reconciling(): Promise<AltoWorkload> {
  return await eventually(
    async () => {
      const { workloads } = await alto.status();
      const computes = workloads.filter(({ name, pid }) => name === 'compute' && pid !== null);
      const holding = await Promise.all(computes.map(holdsLease));
      const holders = computes.filter((_, index) => holding[index]);
      expect(holders).toHaveLength(1);
      return holders[0]!;
    },
    { withinMs: 60_000 },
  );
}

/** One that is paused does not answer, and one that is being started does not listen yet. */
async function holdsLease({ ports }: AltoWorkload): Promise<boolean> {
  const asked = fetch(`http://127.0.0.1:${ports['http']}/metrics`, { signal: AbortSignal.timeout(1_000) });
  const metrics = await asked.then(
    (response) => response.text(),
    () => '',
  );
  return /^alto_lease_held\{[^}]*lease="compute\.reconciler"[^}]*\} 1$/m.test(metrics);
}

describe('two instances of compute, in the middle of a rollout under load', () => {
  it('finish it when the one at work is killed', async () => {
    const answered = await unnoticed(alto, async () => {
      const holder = await reconciling();
      await halfRolledOut('2');
      process.kill(holder.pid!, 'SIGKILL');
      expect((await reconciling()).pid).not.toBe(holder.pid);
      await settled();
    });
    expect(Object.keys(answered).sort()).toEqual(['1', '2']);
  }, 300_000);

  it('finish it when the one at work is paused, which changes nothing more when it wakes up', async () => {
    const answered = await unnoticed(alto, async () => {
      const holder = await reconciling();
      await halfRolledOut('3');
      process.kill(holder.pid!, 'SIGSTOP');
      try {
        expect((await reconciling()).id).not.toBe(holder.id);
      } finally {
        // Before its agent takes it for dead: it must find out by itself that it was replaced.
        process.kill(holder.pid!, 'SIGCONT');
      }
      await settled();
      const finished = await instances();
      // It is at work again as any other instance, and knows that it no longer reconciles.
      await eventually(async () => {
        const { workloads } = await alto.status();
        expect(workloads.find(({ id }) => id === holder.id)).toMatchObject({ phase: 'ready', pid: holder.pid });
      });
      await eventually(async () => expect(await holdsLease(holder)).toBe(false));
      await alto.command('restart', app);
      await settled();
      const replaced = new Set((await instances()).map(({ id }) => id));
      expect(finished.filter(({ id }) => replaced.has(id))).toEqual([]);
    });
    expect(Object.keys(answered).sort()).toEqual(['2', '3']);
  }, 300_000);
});

it('a rollout waits for a load balancer that stands still: users are sent where it knew last', async () => {
  const answered = await unnoticed(alto, async () => {
    const before = (await instances()).map(({ id }) => id);
    const resume = await alto.pause('load-balancer');
    try {
      const { spec } = await currentApp();
      await alto.client.call(computeOperations.apps.put, { project, app, ...spec, env: { VERSION: '4' } });
      await eventually(
        async () => {
          const { rollout } = (await currentApp()).status;
          expect(rollout).toMatchObject({ phase: 'running', reason: expect.stringContaining('not heard of') });
        },
        { withinMs: 60_000 },
      );
      const serving = (await instances()).filter(({ state }) => state === 'ready').map(({ id }) => id);
      expect(serving).toEqual(expect.arrayContaining(before));
    } finally {
      resume();
    }
    await settled();
  });
  expect(Object.keys(answered).sort()).toEqual(['3', '4']);
}, 300_000);
