/** What must hold of rollouts, whatever versions are put in whatever order and however bad they are. */
import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { isOver, type RolloutPolicy, type Strategy } from '../rollouts/rollout.state';
import { atOnce, ModelCluster, type Nature, node, revision } from './cluster.fake';
import { surgeOf } from './rollout';
import type { AppView, InstanceView, RevisionView } from './snapshot';

type Step =
  | {
      readonly kind: 'put';
      readonly replicas: number;
      readonly policy: RolloutPolicy;
      readonly nature: Nature;
      readonly isWorker: boolean;
    }
  | { readonly kind: 'back' }
  | { readonly kind: 'obey'; readonly nth: number }
  | { readonly kind: 'apply'; readonly proxy: string }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'intake'; readonly node: string; readonly intake: 'open' | 'cordoned' | 'draining' }
  | { readonly kind: 'heard'; readonly node: string; readonly state: 'ready' | 'lost' }
  | { readonly kind: 'everybody'; readonly ms: number }
  | { readonly kind: 'reconcile' };

const strategies: fc.Arbitrary<Strategy> = fc.oneof(
  fc.record({
    kind: fc.constant('rolling' as const),
    surge: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('canary' as const),
    steps: fc.array(
      fc.record({ weight: fc.integer({ min: 1, max: 99 }), holdMs: fc.integer({ min: 0, max: 60_000 }) }),
      {
        minLength: 1,
        maxLength: 3,
      },
    ),
    crashesMax: fc.integer({ min: 0, max: 2 }),
    checks: fc.record({
      errorRatePercentMax: fc.integer({ min: 0, max: 20 }),
      requestsMin: fc.integer({ min: 1, max: 15 }),
    }),
  }),
  fc.record({ kind: fc.constant('blue-green' as const) }),
);

// Healthy for longer than what is flaky lasts.
const policiesWith = (autoRevert: fc.Arbitrary<boolean>): fc.Arbitrary<RolloutPolicy> =>
  fc.record({
    strategy: strategies,
    healthyMs: fc.integer({ min: 5_001, max: 20_000 }),
    progressDeadlineMs: fc.integer({ min: 1_000, max: 600_000 }),
    autoRevert,
    readyWithinMs: fc.integer({ min: 1_000, max: 300_000 }),
  });
const policies = policiesWith(fc.constant(true));

const stepsWith = (workers: fc.Arbitrary<boolean>): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        replicas: fc.integer({ min: 1, max: 6 }),
        policy: policiesWith(fc.boolean()),
        nature: fc.constantFrom<Nature>('good', 'crashing', 'silent', 'flaky', 'failing'),
        isWorker: workers,
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'back' as const }) },
    { weight: 14, arbitrary: fc.record({ kind: fc.constant('obey' as const), nth: fc.nat(30) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('apply' as const), proxy: fc.constantFrom('p', 'q') }) },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 30_000 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('intake' as const),
        node: fc.constantFrom('a', 'b', 'c'),
        intake: fc.constantFrom('open' as const, 'cordoned' as const, 'draining' as const),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('heard' as const),
        node: fc.constantFrom('a', 'b', 'c'),
        state: fc.constantFrom('ready' as const, 'lost' as const),
      }),
    },
    {
      weight: 12,
      arbitrary: fc.record({ kind: fc.constant('everybody' as const), ms: fc.integer({ min: 1, max: 8_000 }) }),
    },
    { weight: 12, arbitrary: fc.constant({ kind: 'reconcile' as const }) },
  );

/** A cluster with room to spare, whose app serves with revision 1. */
function serving(): ModelCluster {
  const cluster = new ModelCluster();
  for (const id of ['a', 'b', 'c']) cluster.addNode(node(id));
  for (const id of ['p', 'q']) cluster.addProxy(id);
  cluster.put('web', 3, revision(1), { ...atOnce, healthyMs: 10_000 });
  cluster.settle();
  return cluster;
}

function take(cluster: ModelCluster, step: Step): void {
  switch (step.kind) {
    case 'put': {
      const made = revision(cluster.revisions.size + 1, step.isWorker ? { ports: [] } : {});
      cluster.natures.set(made.id, step.nature);
      return cluster.put('web', step.replicas, made, step.policy);
    }
    case 'back': {
      const { good, replicas } = cluster.apps.get('web')!;
      return cluster.put('web', replicas, good!, { ...atOnce, healthyMs: 6_000 });
    }
    case 'obey': {
      const instance = [...cluster.instances.values()][step.nth % Math.max(1, cluster.instances.size)];
      return instance === undefined || isOnLost(cluster, instance) ? undefined : cluster.obey(instance);
    }
    case 'apply':
      return cluster.report(step.proxy);
    case 'time':
      return cluster.pass(step.ms);
    case 'intake':
      cluster.nodes.get(step.node)!.intake = step.intake;
      return;
    case 'heard':
      cluster.nodes.get(step.node)!.state = step.state;
      return;
    case 'everybody':
      return everybody(cluster, checkedRound, step.ms);
    case 'reconcile':
      return checkedRound(cluster);
  }
}

const isOnLost = (cluster: ModelCluster, { node: of }: InstanceView) =>
  of !== null && cluster.nodes.get(of)!.state === 'lost';

const web = (cluster: ModelCluster): AppView => cluster.apps.get('web')!;

function surgeAllowed({ rollout, replicas }: AppView): number {
  const strategy = rollout?.policy.strategy ?? { kind: 'rolling' };
  if (strategy.kind === 'blue-green') return replicas;
  const asked = strategy.kind === 'rolling' ? [strategy.surge ?? 0] : strategy.steps.map(({ weight }) => weight);
  const most =
    strategy.kind === 'rolling' ? Math.min(replicas, asked[0] ?? 0) : Math.ceil((replicas * Math.max(...asked)) / 100);
  return Math.max(surgeOf(replicas), most);
}

const isWorker = (of: RevisionView | undefined) => of?.ports.length === 0;

function isAvailable(cluster: ModelCluster, instance: InstanceView): boolean {
  const { state, retiring, joinedGeneration } = instance;
  const applied = Math.min(...[...cluster.proxies.values()].map(({ appliedGeneration }) => appliedGeneration));
  const isKnown = joinedGeneration !== null && joinedGeneration <= applied;
  return state === 'ready' && !retiring && (isKnown || isWorker(cluster.revisions.get(instance.revision)));
}

/** One round of the reconciler: neither too many instances, nor one let go that is needed, nor nobody for the requests. */
function checkedRound(cluster: ModelCluster): void {
  const before = cluster.of('web').map((instance) => ({ ...instance }));
  const wasOver = web(cluster).rollout;
  cluster.reconcile();
  const app = web(cluster);
  const after = cluster.of('web');
  const holding = (some: readonly InstanceView[]) =>
    some.filter(({ state }) => state !== 'lost' && state !== 'stopped').length;
  const moved = before.some((instance) => isMovedAside(cluster, app, instance)) ? 1 : 0;
  expect(holding(after)).toBeLessThanOrEqual(Math.max(app.replicas + surgeAllowed(app) + moved, holding(before)));
  const available = (some: readonly InstanceView[]) => some.filter((one) => isAvailable(cluster, one)).length;
  const heard = before.filter((instance) => !isOnLost(cluster, instance));
  expect(available(after)).toBeGreaterThanOrEqual(Math.min(app.replicas, available(heard)));
  const taking = app.endpoints?.filter(({ state, weight }) => state === 'ready' && weight !== 0) ?? [];
  if (![...cluster.revisions.values()].some(isWorker)) expect(taking.length).toBeGreaterThan(0);
  if (wasOver !== null && isOver(wasOver) && wasOver.good !== null) expect(app.rollout!.id).toBe(wasOver.id);
}

/**
 * One that is to leave its machine while old ones are kept beside a canary, a new set, or what has failed and may not go
 * back: one more may take its place.
 */
function isMovedAside(cluster: ModelCluster, { rollout }: AppView, instance: InstanceView): boolean {
  const isHalfway = rollout?.policy.strategy.kind !== 'rolling' && rollout?.phase === 'running';
  const isBeside = isHalfway || rollout?.phase === 'failed';
  return isBeside && instance.node !== null && cluster.nodes.get(instance.node)!.intake === 'draining';
}

/** Everybody who is heard of does their part once. */
function everybody(cluster: ModelCluster, round: (of: ModelCluster) => void, passesMs = 10): void {
  round(cluster);
  for (const instance of [...cluster.instances.values()]) if (!isOnLost(cluster, instance)) cluster.obey(instance);
  cluster.applyAll();
  cluster.pass(passesMs);
}

/** A round that nothing is asked of. */
const anyRound = (cluster: ModelCluster) => void cluster.reconcile();

/** Instances of a revision that has failed, started after it did; but one that may not go back is moved where it must be. */
function startedAfterFailure(cluster: ModelCluster, known: ReadonlySet<string>): InstanceView[] {
  const { rollout } = web(cluster);
  if (rollout === null || !['reverting', 'rolled_back', 'failed'].includes(rollout.phase)) return [];
  const ofFailed = cluster.of('web').filter(({ revision: of }) => of === rollout.to);
  const isMoved = ofFailed.some((instance) => isMovedAside(cluster, web(cluster), instance));
  return isMoved ? [] : ofFailed.filter(({ id }) => !known.has(id));
}

describe('whatever is put', () => {
  it.each([
    ['the app serves', fc.constant(false)],
    ['the app, at times a worker, is there', fc.boolean()],
  ])('%s throughout, within its surge, and comes to rest at a version that works', (_, workers) => {
    fc.assert(
      fc.property(fc.array(stepsWith(workers), { maxLength: 150, size: 'max' }), (script) => {
        const cluster = serving();
        let known = new Set<string>();
        for (const step of script) {
          take(cluster, step);
          expect(startedAfterFailure(cluster, known)).toEqual([]);
          known = new Set(cluster.of('web').map(({ id }) => id));
        }
        for (const host of cluster.nodes.values()) Object.assign(host, { intake: 'open', state: 'ready' });
        // What may not go back by itself stays as it is, and bad, until somebody changes it.
        for (let round = 0; round < 500 && !isOver(web(cluster).rollout!); round++)
          everybody(cluster, checkedRound, 3_000);
        if (web(cluster).rollout!.phase === 'failed') take(cluster, { kind: 'back' });
        const { begun } = cluster;
        cluster.settle(3_000);
        expect(cluster.begun).toBe(begun);
        const { rollout, target, good, replicas, status, endpoints } = web(cluster);
        const serves = cluster.of('web').filter((instance) => isAvailable(cluster, instance));
        // Nobody asks a worker, so none answers badly, and there is nothing to hold an answer against that took its place.
        const isUnasked = [...cluster.revisions.values()].some(isWorker);
        const natures: readonly Nature[] = isUnasked ? ['good', 'failing'] : ['good'];
        const isGood = (of: string) => natures.includes(cluster.natures.get(of) ?? 'good');
        const works = serves.filter(({ revision: of }) => isGood(of));
        expect(works.length).toBeGreaterThanOrEqual(replicas);
        expect(endpoints!.some(({ weight }) => weight !== 0)).toBe(!isWorker(target));
        expect(['completed', 'rolled_back']).toContain(rollout!.phase);
        expect(target.id).toBe(good!.id);
        expect(cluster.of('web').map(({ revision: of }) => of)).toEqual(
          Array.from({ length: replicas }, () => target.id),
        );
        expect(status.state).toBe(rollout!.phase === 'completed' ? 'running' : 'rolled_back');
      }),
      runs(300),
    );
  });
});

describe('a version of which nothing has run', () => {
  const natures = fc.constantFrom<Nature>('good', 'crashing', 'silent', 'flaky');
  const replicasUp = fc.integer({ min: 1, max: 6 });

  it('is judged once there are replicas, and goes back like any other', () => {
    fc.assert(
      fc.property(natures, policies, fc.nat(6), fc.nat(40), replicasUp, (nature, policy, first, rounds, replicas) => {
        const cluster = serving();
        cluster.natures.set('rev-2', nature);
        cluster.put('web', first, revision(2), policy);
        for (let round = 0; round < rounds; round++) everybody(cluster, anyRound);
        const isDecided = isOver(web(cluster).rollout!) && first > 0;
        const { target } = web(cluster);
        cluster.put('web', 0, target, policy);
        cluster.settle(3_000);
        expect(web(cluster).status.state).toBe('stopped');
        expect(web(cluster).good!.id).toBe(isDecided ? target.id : 'rev-1');
        cluster.put('web', replicas, web(cluster).target, policy);
        cluster.settle(3_000);
        expect(web(cluster).target.id).toBe(nature === 'good' ? 'rev-2' : 'rev-1');
        expect(web(cluster).good!.id).toBe(web(cluster).target.id);
        expect(cluster.of('web').filter((one) => isAvailable(cluster, one))).toHaveLength(replicas);
      }),
      runs(200),
    );
  });

  it('is deployed for the first time once there are replicas', () => {
    fc.assert(
      fc.property(natures, policies, replicasUp, (nature, policy, replicas) => {
        const cluster = new ModelCluster();
        for (const id of ['a', 'b', 'c']) cluster.addNode(node(id));
        cluster.addProxy('p');
        cluster.natures.set('rev-1', nature);
        cluster.put('web', 0, revision(1), policy);
        cluster.settle(3_000);
        expect(web(cluster)).toMatchObject({ good: null, status: { state: 'stopped' } });
        cluster.put('web', replicas, revision(1), policy);
        if (nature === 'good') {
          cluster.settle(3_000);
          expect(web(cluster)).toMatchObject({ good: { id: 'rev-1' }, rollout: { phase: 'completed' } });
          return;
        }
        for (let round = 0; round < 500 && !isOver(web(cluster).rollout!); round++) {
          everybody(cluster, anyRound, 3_000);
        }
        expect(web(cluster)).toMatchObject({ good: null, rollout: { phase: 'failed' } });
      }),
      runs(100),
    );
  });
});

describe('a machine that is drained while a canary is held or a new set gets ready', () => {
  const strategiesThatKeep: fc.Arbitrary<Strategy> = fc.oneof(
    fc.record({
      kind: fc.constant('canary' as const),
      steps: fc.tuple(fc.record({ weight: fc.integer({ min: 1, max: 99 }), holdMs: fc.constant(86_400_000) })),
      crashesMax: fc.constant(0),
    }),
    fc.constant({ kind: 'blue-green' as const }),
  );

  it('is emptied at once, with every replica of the old revision up throughout', () => {
    fc.assert(
      fc.property(strategiesThatKeep, fc.integer({ min: 1, max: 6 }), fc.nat(20), (strategy, replicas, rounds) => {
        const cluster = serving();
        cluster.put('web', replicas, revision(1));
        cluster.settle();
        // Silent: a new set never gets ready, and a canary is held for a day.
        cluster.natures.set('rev-2', strategy.kind === 'canary' ? 'good' : 'silent');
        const policy = { ...atOnce, strategy, progressDeadlineMs: 86_400_000, readyWithinMs: 86_400_000 };
        cluster.put('web', replicas, revision(2), policy);
        for (let round = 0; round < rounds; round++) everybody(cluster, checkedRound);
        cluster.nodes.get('a')!.intake = 'draining';
        const isOnA = ({ node: of }: InstanceView) => of === 'a';
        for (let round = 0; round < 200 && cluster.of('web').some(isOnA); round++) {
          everybody(cluster, checkedRound);
          const old = cluster.of('web').filter(({ revision: of }) => of === 'rev-1');
          expect(old.filter((one) => isAvailable(cluster, one)).length).toBeGreaterThanOrEqual(replicas);
        }
        expect(cluster.of('web').filter(isOnA)).toEqual([]);
        expect(web(cluster).rollout!.phase).toBe('running');
      }),
      runs(100),
    );
  });
});
