import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import type { RolloutPolicy } from '../rollouts/rollout.state';
import { atOnce, ModelCluster, type Nature, node, revision } from './cluster.fake';
import { PassedTime } from './passed-time';

const policy: RolloutPolicy = { ...atOnce, healthyMs: 10_000, progressDeadlineMs: 120_000, readyWithinMs: 60_000 };
const anHour = 3_600_000;

/** Its app serves with revision 1. */
function serving(): ModelCluster {
  const cluster = new ModelCluster();
  for (const id of ['a', 'b', 'c']) cluster.addNode(node(id));
  for (const id of ['p', 'q']) cluster.addProxy(id);
  cluster.put('web', 3, revision(1), atOnce);
  cluster.settle();
  return cluster;
}

function everybody(cluster: ModelCluster): void {
  cluster.reconcile();
  for (const instance of [...cluster.instances.values()]) cluster.obey(instance);
  cluster.applyAll();
  cluster.pass(10);
}

const rolloutOf = (cluster: ModelCluster) => cluster.apps.get('web')!.rollout!;

describe('time that has passed', () => {
  it('is what the clock shows without what it was set forward over, however often that was noted', () => {
    const skips = [
      { from: 5_000, until: 6_000 },
      { from: 1_001, until: 2_002 },
      { from: 1_000, until: 2_000 },
    ];
    const time = new PassedTime(skips, 7_000);
    expect([900, 1_000, 1_500, 2_002, 2_500, 7_000].map(time.passedAt)).toEqual([
      900, 1_000, 1_000, 1_000, 1_498, 4_998,
    ]);
    expect([900, 1_000, 1_498, 4_998].map(time.clockAt)).toEqual([900, 1_000, 2_500, 7_000]);
  });

  it('is what the clock shows once that was set back behind what it had skipped', () => {
    const time = new PassedTime([{ from: 1_000, until: 9_000 }], 1_200);
    expect(time.passedAt(1_200)).toBe(1_200);
  });
});

describe('a clock that is set forward', () => {
  it('fails no rollout whose instances are starting, and lets one fail when its time is over', () => {
    const cluster = serving();
    cluster.natures.set('rev-2', 'silent');
    cluster.put('web', 3, revision(2), policy);
    for (let round = 0; round < 5; round++) everybody(cluster);
    cluster.setClock(anHour);
    for (let round = 0; round < 5; round++) everybody(cluster);
    cluster.pass(50_000);
    everybody(cluster);
    expect(rolloutOf(cluster).phase).toBe('running');
    cluster.pass(10_000);
    everybody(cluster);
    expect(rolloutOf(cluster)).toMatchObject({ phase: 'reverting', reason: expect.stringContaining('60 s') });
  });

  it('makes nobody healthy, and nobody drained, before the time', () => {
    const cluster = serving();
    for (const proxy of cluster.proxies.values()) proxy.busy = null;
    cluster.put('web', 3, revision(2), policy);
    for (let round = 0; round < 5; round++) everybody(cluster);
    cluster.setClock(anHour);
    for (let round = 0; round < 5; round++) everybody(cluster);
    expect(cluster.of('web').filter(({ retiring }) => retiring)).toEqual([]);
    cluster.pass(10_000);
    for (let round = 0; round < 5; round++) everybody(cluster);
    expect(cluster.of('web').map(({ state }) => state)).toContain('draining');
    cluster.setClock(anHour);
    for (let round = 0; round < 5; round++) everybody(cluster);
    expect(cluster.of('web').map(({ state }) => state)).toContain('draining');
    cluster.settle(3_000);
    expect(rolloutOf(cluster).phase).toBe('completed');
  });

  it('and back again leaves nothing behind', () => {
    const cluster = serving();
    cluster.natures.set('rev-2', 'silent');
    cluster.put('web', 3, revision(2), policy);
    for (let round = 0; round < 5; round++) everybody(cluster);
    cluster.setClock(anHour);
    everybody(cluster);
    cluster.setClock(-anHour);
    everybody(cluster);
    expect(rolloutOf(cluster).phase).toBe('running');
    cluster.pass(60_000);
    everybody(cluster);
    expect(rolloutOf(cluster).phase).toBe('reverting');
  });

  type Step =
    | { readonly kind: 'put'; readonly nature: Nature; readonly replicas: number }
    | { readonly kind: 'everybody' }
    | { readonly kind: 'time'; readonly ms: number };
  const steps: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        nature: fc.constantFrom<Nature>('good', 'crashing', 'silent', 'flaky', 'failing'),
        replicas: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 8, arbitrary: fc.constant({ kind: 'everybody' as const }) },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 30_000 }) }),
    },
  );
  const forwardMs = fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 2_000, max: anHour }));

  it('changes nothing of what becomes of anything', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(steps, forwardMs), { maxLength: 60, size: 'max' }), (script) => {
        const [steady, jumping] = [serving(), serving()];
        for (const [step, ms] of script) {
          for (const cluster of [steady, jumping]) take(cluster, step);
          if (ms > 0) jumping.setClock(ms);
          expect(whatIs(jumping)).toEqual(whatIs(steady));
        }
      }),
      runs(200),
    );
  });

  function take(cluster: ModelCluster, step: Step): void {
    if (step.kind === 'everybody') everybody(cluster);
    // The model dates what it makes a little ahead, for an order.
    cluster.pass(step.kind === 'time' ? step.ms + 1_000 : 1_000);
    if (step.kind !== 'put') return;
    const made = revision(cluster.revisions.size + 1);
    cluster.natures.set(made.id, step.nature);
    cluster.put('web', step.replicas, made, policy);
  }

  /** All but times. */
  function whatIs(cluster: ModelCluster): unknown {
    const { status, endpoints, rollout } = cluster.apps.get('web')!;
    const instances = cluster.of('web').map(({ id, state, retiring, node: on, reason, version }) => {
      return { id, state, retiring, on, reason, version };
    });
    return { status, endpoints, instances, step: rollout?.step, healthy: rollout?.healthyMost };
  }
});
