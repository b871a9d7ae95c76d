import { type Caller, computeOperations, type ProjectLimits } from '@alto/contracts';
import { callerOf, eventually, type NatsServer, type Random, startNats, withSeed } from '@alto/testing';
import { Scenario, withinMs } from '../scenario.fake';

const { apps, usage } = computeOperations;
const mebibyte = 2 ** 20;

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

const limitedTo = (quotas: ProjectLimits): Caller => ({ ...callerOf(scenario.project), quotas });
const used = async () =>
  (await scenario.compute.call(usage.get, { project: scenario.project.id }, callerOf(scenario.project))).use;

function put(caller: Caller, app: string, more: { replicas?: number; memoryBytes?: number; cpuMillis?: number } = {}) {
  const { replicas = 0, memoryBytes = 2 * mebibyte, cpuMillis = 100 } = more;
  const spec = { command: ['node'], replicas, resources: { memoryBytes, cpuMillis } };
  return scenario.compute.call(apps.put, { ...spec, ...scenario.address(app) }, caller);
}

const outcomeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );

describe("a project's limits", () => {
  it('let exactly as many apps be made as there may be, however many are asked for at once', async () => {
    await scenario.startCompute();
    const caller = limitedTo({ apps: 10 });
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => outcomeOf(put(caller, `app-${n}`))));
    expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(10);
    expect(outcomes.filter((outcome) => outcome === 'quota_exceeded')).toHaveLength(40);
    expect(await used()).toMatchObject({ apps: 10 });
  });

  it.each([
    ['instances', { instances: 5 }, { replicas: 6 }],
    ['cpuMillis', { cpuMillis: 500 }, { replicas: 5, cpuMillis: 101 }],
    ['memoryBytes', { memoryBytes: 10 * mebibyte }, { replicas: 5, memoryBytes: 2 * mebibyte + 1 }],
  ] as const)('hold %s of all apps together', async (quota, limits, tooMuch) => {
    const caller = limitedTo(limits);
    await put(caller, 'first', { replicas: 2 });
    await put(caller, 'second', { replicas: 3 });
    const limit = Object.values(limits)[0];
    expect(await used()).toMatchObject({ [quota]: limit });
    const refusal = { code: 'quota_exceeded', details: expect.objectContaining({ quota, limit, used: limit }) };
    await expect(put(caller, 'third', { replicas: 1 })).rejects.toMatchObject(refusal);
    const scale = { ...scenario.address('first'), replicas: 3 };
    await expect(scenario.compute.call(apps.scale, scale, caller)).rejects.toMatchObject(refusal);
    await expect(scenario.get('third')).rejects.toMatchObject({ code: 'not_found' });
    await scenario.compute.call(apps.scale, { ...scale, replicas: 0 }, caller);
    await expect(put(caller, 'second', tooMuch)).rejects.toMatchObject({ code: 'quota_exceeded' });
    await put(caller, 'third', { replicas: 2 });
  });

  it('hold a rollback to a revision that asks for more, and a trial as the change itself', async () => {
    const caller = limitedTo({ memoryBytes: 10 * mebibyte });
    await put(caller, 'one', { replicas: 2, memoryBytes: 4 * mebibyte });
    await put(caller, 'one', { replicas: 2, memoryBytes: 2 * mebibyte });
    await put(caller, 'two', { replicas: 3 });
    await expect(scenario.compute.call(apps.rollback, scenario.address('one'), caller)).rejects.toMatchObject({
      code: 'quota_exceeded',
    });
    const spec = { command: ['node'], resources: { memoryBytes: 2 * mebibyte }, ...scenario.address('three') };
    await expect(scenario.compute.call(apps.put, { ...spec, dryRun: 'true' }, caller)).rejects.toMatchObject({
      code: 'quota_exceeded',
    });
  });

  it('let a project that has too much take less, and count an app until it is gone', async () => {
    await put(callerOf(scenario.project), 'large', { replicas: 8 });
    const caller = limitedTo({ apps: 1, instances: 4 });
    await put(caller, 'large', { replicas: 7 });
    await expect(put(caller, 'large', { replicas: 8 })).rejects.toMatchObject({ code: 'quota_exceeded' });
    await scenario.delete('large');
    await eventually(async () => expect(await outcomeOf(put(caller, 'other', { replicas: 4 }))).toBe('done'), {
      withinMs,
    });
    expect(await used()).toMatchObject({ apps: 1, instances: 4 });
  });

  it('are never overshot, whatever is asked for at once', async () => {
    await scenario.startCompute();
    const limits = { apps: 6, instances: 20, cpuMillis: 2_500, memoryBytes: 60 * mebibyte };
    const caller = limitedTo(limits);
    // Near the limits from the beginning, so that changes press against them.
    const first = ['app-0', 'app-1', 'app-2'].map((app) => outcomeOf(put(caller, app, { replicas: 9 })));
    expect((await Promise.all(first)).sort()).toEqual(['done', 'done', 'quota_exceeded']);
    await withSeed(async (random) => {
      const seen: Record<string, number>[] = [];
      let isOver = false;
      const watching = (async () => {
        while (!isOver) seen.push(await used());
      })();
      for (let round = 0; round < 4; round++)
        await Promise.all(Array.from({ length: 25 }, () => outcomeOf(anyChange(random, caller))));
      isOver = true;
      await watching;
      for (const [quota, limit] of Object.entries(limits))
        expect(Math.max(...seen.map((use) => use[quota]!))).toBeLessThanOrEqual(limit);
    });
  });
});

function anyChange(random: Random, caller: Caller): Promise<unknown> {
  const address = scenario.address(`app-${random.integer(9)}`);
  const kind = random.integer(10);
  if (kind === 0) return scenario.compute.call(apps.delete, address, caller);
  if (kind === 1) return scenario.compute.call(apps.rollback, address, caller);
  const replicas = random.integer(10);
  if (kind < 5) return scenario.compute.call(apps.scale, { ...address, replicas }, caller);
  const more = { cpuMillis: 50 + random.integer(350), memoryBytes: (1 + random.integer(8)) * mebibyte };
  return put(caller, address.app, { replicas, ...more });
}
