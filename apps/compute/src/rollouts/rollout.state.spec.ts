import {
  advance,
  type Candidate,
  momentsOf,
  type RolloutPolicy,
  type RolloutView,
  type Sight,
  wantedNow,
} from './rollout.state';

const policy: RolloutPolicy = {
  strategy: { kind: 'rolling' },
  healthyMs: 10_000,
  progressDeadlineMs: 600_000,
  autoRevert: true,
  readyWithinMs: 300_000,
};

function rollout(more: Partial<RolloutView> = {}): RolloutView {
  return {
    id: 'rlt-1',
    number: 2,
    phase: 'running',
    policy,
    to: 'rev-2',
    toNumber: 2,
    fromNumber: 1,
    good: 'rev-1',
    goodNumber: 1,
    begunAt: 1_000,
    progressAt: 1_000,
    healthyMost: 0,
    step: 0,
    stepAt: null,
    reason: '',
    failingInstance: null,
    lastLogLines: [],
    ...more,
  };
}

function candidate(id: string, more: Partial<Candidate> = {}): Candidate {
  const state = 'ready' as const;
  return { id, node: 'a', state, restarts: 0, createdAt: 1_000, hasServed: true, isHealthy: true, ...more };
}

function sight(candidates: readonly Candidate[], more: Partial<Sight> = {}): Sight {
  return { replicas: 2, candidates, others: 2, isHeld: false, lagging: [], ...more };
}

const canary = {
  kind: 'canary',
  steps: [
    { weight: 10, holdMs: 5_000 },
    { weight: 60, holdMs: 0 },
  ],
  crashesMax: 0,
} as const;

describe('a rollout that runs', () => {
  it('is completed when every replica is healthy and nothing else is left', () => {
    const healthy = [candidate('a'), candidate('b')];
    expect(advance(rollout(), sight(healthy), 2_000).phase).toBe('running');
    expect(advance(rollout(), sight(healthy, { others: 0 }), 2_000)).toMatchObject({ phase: 'completed' });
    expect(advance(rollout(), sight([], { replicas: 0 }), 2_000)).toMatchObject({ phase: 'completed' });
  });

  it('fails by the third crash of an instance that it started, and not by one of before', () => {
    const old = candidate('a', { restarts: 9, createdAt: 999 });
    expect(advance(rollout(), sight([old, candidate('b', { restarts: 2 })]), 2_000).phase).toBe('running');
    expect(advance(rollout(), sight([old, candidate('b', { restarts: 3 })]), 2_000)).toMatchObject({
      phase: 'reverting',
      failingInstance: 'b',
      reason: 'revision 2 failed: b crashed 3 times',
    });
  });

  it('fails by an instance that is not ready in time, counted from its placement, unless everything is held', () => {
    const late = candidate('a', { state: 'starting', hasServed: false, isHealthy: false });
    expect(advance(rollout(), sight([late]), 300_999).phase).toBe('running');
    expect(advance(rollout(), sight([late]), 301_000)).toMatchObject({ phase: 'reverting', failingInstance: 'a' });
    expect(advance(rollout(), sight([late], { isHeld: true }), 301_000)).toMatchObject({
      phase: 'running',
      progressAt: null,
      reason: 'held: at least half of all nodes are lost',
    });
    expect(advance(rollout(), sight([{ ...late, node: null }]), 301_000).phase).toBe('running');
  });

  it('fails when it comes no further; each healthy instance gives it the whole time again', () => {
    const unwell = candidate('a', { state: 'unready', isHealthy: false });
    expect(advance(rollout(), sight([unwell]), 610_999).phase).toBe('running');
    expect(advance(rollout(), sight([unwell]), 611_000)).toMatchObject({ phase: 'reverting', failingInstance: 'a' });
    const further = advance(rollout(), sight([unwell, candidate('b')]), 600_000);
    expect(further).toMatchObject({ progressAt: 600_000, healthyMost: 1 });
    expect(momentsOf(further, [])).toEqual([1_210_000]);
  });

  it('says what it waits for', () => {
    const reason = (some: Sight) => advance(rollout(), some, 2_000).reason;
    expect(reason(sight([]))).toBe('waits for new instances to be ready');
    expect(reason(sight([candidate('a', { isHealthy: false })]))).toBe('waits until a has been healthy for 10 s');
    expect(reason(sight([candidate('a'), candidate('b')]))).toBe('waits for old instances to end');
    expect(reason(sight([candidate('a'), candidate('b')], { lagging: ['lb-1'] }))).toBe(
      'waits for lb-1 to apply the new endpoints',
    );
  });
});

describe('a rollout that has failed', () => {
  const crashing = sight([candidate('a', { restarts: 3 })]);

  it('has nowhere to go from the first revision, and is completed once that works after all', () => {
    const first = rollout({ good: null, goodNumber: null });
    const failed = advance(first, crashing, 2_000);
    expect(failed).toMatchObject({
      phase: 'failed',
      reason: expect.stringContaining('no good revision to go back to'),
    });
    expect(advance(failed, sight([candidate('a'), candidate('b')], { others: 0 }), 9_000).phase).toBe('completed');
  });

  it('stays as it is when it may not go back', () => {
    const failed = advance(rollout({ policy: { ...policy, autoRevert: false } }), crashing, 2_000);
    expect(failed).toMatchObject({ phase: 'failed', reason: expect.stringContaining('autoRevert is off') });
    expect(advance(failed, sight([candidate('a'), candidate('b')], { others: 0 }), 9_000)).toBe(failed);
  });

  it('has been rolled back when all is of the good revision, and is looked at no more', () => {
    const reverting = rollout({ phase: 'reverting' });
    expect(advance(reverting, sight([candidate('a')]), 2_000)).toBe(reverting);
    const back = advance(reverting, sight([candidate('a'), candidate('b')], { others: 0 }), 2_000);
    expect(back.phase).toBe('rolled_back');
    expect(advance(back, crashing, 3_000)).toBe(back);
    expect(momentsOf(back, [])).toEqual([]);
  });
});

describe('a canary', () => {
  const begun = rollout({ policy: { ...policy, strategy: canary } });

  it('takes a step when all that it needs has been healthy for as long as the step is held', () => {
    const one = sight([candidate('a')], { others: 4, replicas: 4 });
    const held = advance(begun, one, 2_000);
    expect(held).toMatchObject({ step: 0, stepAt: 2_000, reason: 'step 1 of 2, 10 % of requests; held for 5 s' });
    expect(advance(held, one, 6_999).step).toBe(0);
    const next = advance(held, one, 7_000);
    expect(next).toMatchObject({ step: 1, stepAt: null });
    expect([wantedNow(begun, 4), wantedNow(next, 4)]).toEqual([1, 3]);
  });

  it('begins to hold anew when an instance is unwell for a moment', () => {
    const held = { ...begun, stepAt: 2_000 };
    const unwell = candidate('a', { isHealthy: false });
    expect(advance(held, sight([unwell]), 6_000)).toMatchObject({ step: 0, stepAt: null });
  });

  it('fails by the first crash unless some are accepted', () => {
    const crashed = sight([candidate('a', { restarts: 1 })]);
    expect(advance(begun, crashed, 2_000)).toMatchObject({ phase: 'reverting' });
    const patient = rollout({ policy: { ...policy, strategy: { ...canary, crashesMax: 1 } } });
    expect(advance(patient, crashed, 2_000)).toMatchObject({ phase: 'running' });
  });
});

it('a blue-green rollout switches when the whole new set is healthy and known to every proxy', () => {
  const begun = rollout({ policy: { ...policy, strategy: { kind: 'blue-green' } } });
  const all = [candidate('a'), candidate('b')];
  expect(advance(begun, sight([candidate('a')]), 2_000).step).toBe(0);
  expect(advance(begun, sight(all, { lagging: ['lb-1'] }), 2_000).step).toBe(0);
  expect(advance(begun, sight(all), 2_000).step).toBe(1);
});
