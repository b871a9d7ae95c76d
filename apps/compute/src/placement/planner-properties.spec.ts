/** What must hold at every moment, whatever happens in whatever order; and that everything settles once faults stop. */
import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { wantsStopped } from '../instances/instance.state';
import { limits, ModelCluster, node, revision } from './cluster.fake';
import { surgeOf } from './rollout';
import type { AppView, InstanceView } from './snapshot';

const nodeIds = ['a', 'b', 'c', 'd'];
const proxyIds = ['p', 'q'];
const appIds = ['web', 'api'];

type Step =
  | { readonly kind: 'put'; readonly app: string; readonly replicas: number; readonly revision: number }
  | { readonly kind: 'node'; readonly id: string; readonly state: 'ready' | 'suspect' | 'lost' }
  | {
      readonly kind: 'instance';
      readonly nth: number;
      readonly as: 'obey' | 'running' | 'backoff' | 'failed' | 'fetching';
    }
  | { readonly kind: 'proxy'; readonly id: string; readonly busyNth: number | null }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'reconcile' };

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      app: fc.constantFrom(...appIds),
      replicas: fc.integer({ min: 0, max: 9 }),
      revision: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('node' as const),
      id: fc.constantFrom(...nodeIds),
      state: fc.constantFrom('ready' as const, 'ready' as const, 'suspect' as const, 'lost' as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('instance' as const),
      nth: fc.nat(30),
      as: fc.constantFrom(
        'obey' as const,
        'obey' as const,
        'obey' as const,
        'running' as const,
        'backoff' as const,
        'failed' as const,
        'fetching' as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('proxy' as const),
      id: fc.constantFrom(...proxyIds),
      busyNth: fc.option(fc.nat(30)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 70_000 }) }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'reconcile' as const }) },
);

function newCluster(): ModelCluster {
  const cluster = new ModelCluster();
  // Some room to spare, and not for everything at once.
  for (const id of nodeIds) cluster.addNode(node(id, { capacity: { cpuMillis: 600, memoryBytes: 2 ** 32 } }));
  for (const id of proxyIds) cluster.addProxy(id);
  return cluster;
}

function take(cluster: ModelCluster, step: Step): void {
  const nth = (index: number) => [...cluster.instances.values()][index % Math.max(1, cluster.instances.size)];
  switch (step.kind) {
    case 'put':
      return cluster.put(step.app, step.replicas, revision(step.revision));
    case 'node':
      cluster.nodes.get(step.id)!.state = step.state;
      return;
    case 'instance': {
      const instance = nth(step.nth);
      const host = instance?.node === null || instance === undefined ? undefined : cluster.nodes.get(instance.node);
      if (instance === undefined || host === undefined || host.state === 'lost') return;
      return step.as === 'obey' ? cluster.obey(instance) : cluster.observe(instance.id, step.as);
    }
    case 'proxy': {
      const proxy = cluster.proxies.get(step.id)!;
      const busy = step.busyNth === null ? undefined : nth(step.busyNth)?.id;
      Object.assign(proxy, { appliedGeneration: cluster.generation, busy: new Set(busy === undefined ? [] : [busy]) });
      return;
    }
    case 'time':
      cluster.nowMs += step.ms;
      return;
    case 'reconcile':
      return checkedRound(cluster);
  }
}

function isAvailable(cluster: ModelCluster, { state, retiring, joinedGeneration }: InstanceView): boolean {
  const applied = Math.min(...[...cluster.proxies.values()].map(({ appliedGeneration }) => appliedGeneration));
  return state === 'ready' && !retiring && joinedGeneration !== null && joinedGeneration <= applied;
}

const onNode = ({ node: id }: InstanceView, cluster: ModelCluster) => (id === null ? undefined : cluster.nodes.get(id));

/** One round of the reconciler between two looks at the cluster. */
function checkedRound(cluster: ModelCluster): void {
  const before = new Map([...cluster.instances].map(([id, instance]) => [id, { ...instance }]));
  const endpointsBefore = new Map([...cluster.apps].map(([id, { endpoints }]) => [id, endpoints]));
  cluster.reconcile();
  for (const app of cluster.apps.values()) {
    checkNumbers(
      cluster,
      app,
      [...before.values()].filter((instance) => instance.app === app.id),
    );
  }
  for (const after of cluster.instances.values()) {
    checkPlacement(cluster, before.get(after.id), after);
    checkStop(cluster, before.get(after.id), after, endpointsBefore.get(after.app) ?? null);
  }
  for (const [id, instance] of before)
    if (!cluster.instances.has(id)) expect(instance.state === 'stopped' || instance.node === null).toBe(true);
}

/** Never more than replicas + surge, and none that serves is let go while it is needed. */
function checkNumbers(cluster: ModelCluster, app: AppView, before: readonly InstanceView[]): void {
  const after = cluster.of(app.id);
  const holds = ({ state }: InstanceView) => state !== 'lost' && state !== 'stopped';
  const most = Math.max(app.replicas + surgeOf(app.replicas), before.filter(holds).length);
  expect(after.filter(holds).length).toBeLessThanOrEqual(most);
  const stillHeard = before.filter(
    (instance) => isAvailable(cluster, instance) && onNode(instance, cluster)?.state !== 'lost',
  );
  const available = after.filter((instance) => isAvailable(cluster, instance)).length;
  expect(available).toBeGreaterThanOrEqual(Math.min(app.replicas, stillHeard.length));
}

/** Nothing new on a node that is not ready or has no room. */
function checkPlacement(cluster: ModelCluster, before: InstanceView | undefined, after: InstanceView): void {
  if (after.node === null || before?.node === after.node) return;
  expect(before?.node ?? null).toBeNull();
  const host = onNode(after, cluster)!;
  expect(host.state).toBe('ready');
  const here = [...cluster.instances.values()].filter((instance) => instance.node === host.id);
  expect(here.length * 100).toBeLessThanOrEqual(host.capacity.cpuMillis);
}

/** An agent is told to end an instance only when every proxy has let go of it. */
function checkStop(
  cluster: ModelCluster,
  before: InstanceView | undefined,
  after: InstanceView,
  endpoints: AppView['endpoints'],
): void {
  if (!wantsStopped(after.state) || before === undefined || wantsStopped(before.state)) return;
  expect(endpoints?.some(({ instance, state }) => instance === after.id && state === 'ready') ?? false).toBe(false);
  for (const proxy of cluster.proxies.values()) {
    if (before.leftGeneration !== null) expect(proxy.appliedGeneration).toBeGreaterThanOrEqual(before.leftGeneration);
    const hadTime = before.drainUntil !== null && cluster.nowMs >= before.drainUntil;
    if (before.state === 'draining' && !hadTime) expect(proxy.busy!.has(after.id)).toBe(false);
  }
}

describe('whatever happens', () => {
  it('limits hold at every moment, and everything settles once faults stop', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 120, size: 'max' }), (script) => {
        const cluster = newCluster();
        for (const step of script) take(cluster, step);
        for (const host of cluster.nodes.values()) host.state = 'ready';
        for (const proxy of cluster.proxies.values()) Object.assign(proxy, { busy: new Set() });
        // 24 instances fit: two apps of up to nine with their surge.
        cluster.settle();
        for (const app of cluster.apps.values()) {
          const instances = cluster.of(app.id);
          expect(instances).toHaveLength(app.replicas);
          expect(instances.every(({ state, revision }) => state === 'ready' && revision === app.target.id)).toBe(true);
          const isBack = app.rollout!.phase === 'rolled_back';
          expect(app.status.state).toBe(app.replicas === 0 ? 'stopped' : isBack ? 'rolled_back' : 'running');
          expect(app.endpoints).toHaveLength(app.replicas);
        }
        expect(cluster.plan()).toEqual({ apps: [], wakeAt: null, askProxies: false });
      }),
      runs(400),
    );
  });

  it('a rollout of a ready app never serves with fewer than its replicas', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.nat(20), { minLength: 1, maxLength: 200, size: 'max' }),
        (replicas, order) => {
          const cluster = newCluster();
          cluster.put('web', replicas, revision(1));
          cluster.settle();
          cluster.put('web', replicas, revision(2));
          for (const pick of order) {
            const instance = cluster.of('web')[pick];
            if (instance !== undefined) cluster.obey(instance);
            else if (pick % 2 === 0) cluster.applyAll();
            else checkedRound(cluster);
            expect(cluster.of('web').filter((one) => isAvailable(cluster, one)).length).toBeGreaterThanOrEqual(
              replicas,
            );
          }
          cluster.settle();
          expect(cluster.of('web').every(({ revision: id }) => id === 'rev-2')).toBe(true);
        },
      ),
      runs(300),
    );
  });

  it('a version that never becomes ready takes nothing away from the one that serves', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom('backoff' as const, 'running' as const, 'failed' as const),
        (replicas, as) => {
          const cluster = newCluster();
          cluster.put('web', replicas, revision(1));
          cluster.settle();
          cluster.put('web', replicas, revision(2));
          for (let round = 0; round < 30; round++) {
            checkedRound(cluster);
            for (const instance of cluster.of('web')) {
              if (instance.revision === 'rev-2' && !wantsStopped(instance.state)) cluster.observe(instance.id, as);
              else cluster.obey(instance);
            }
            cluster.applyAll();
            cluster.nowMs += limits.failedHoldMs / 4;
          }
          expect(
            cluster.of('web').filter(({ state, revision: id }) => state === 'ready' && id === 'rev-1'),
          ).toHaveLength(replicas);
          cluster.put('web', replicas, revision(3));
          cluster.settle();
          expect(cluster.of('web').every(({ revision: id }) => id === 'rev-3')).toBe(true);
        },
      ),
      runs(50),
    );
  });
});
