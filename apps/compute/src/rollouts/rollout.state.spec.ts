import { type Counts, noRequests } from './error-rate';
import {
  advance,
  awaitsReports,
  type Candidate,
  isProven,
  isToBeJudged,
  keepsOthers,
  momentsOf,
  notBegun,
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
    ...notBegun,
    id: 'rlt-1',
    number: 2,
    policy,
    to: 'rev-2',
    toNumber: 2,
    fromNumber: 1,
    good: 'rev-1',
    goodNumber: 1,
    begunAt: 1_000,
    progressAt: 1_000,
    reason: '',
    ...more,
  };
}

function candidate(id: string, more: Partial<Candidate> = {}): Candidate {
  const state = 'ready' as const;
  return { id, node: 'a', state, restarts: 0, createdAt: 1_000, hasServed: true, isHealthy: true, ...more };
}

function sight(candidates: readonly Candidate[], more: Partial<Sight> = {}): Sight {
  const traffic = { target: new Map(), good: noRequests, isGoodAsked: true };
  return {
    replicas: 2,
    candidates,
    others: 2,
    isHeld: false,
    isUnheard: false,
    lagging: [],
    reports: new Map(),
    traffic,
    ...more,
  };
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
  });

  it('is completed without replicas, and proves nothing', () => {
    const none = sight([], { replicas: 0, others: 0 });
    const unjudged = advance(rollout(), none, 2_000);
    expect(unjudged).toMatchObject({
      phase: 'completed',
      reason: 'there are no replicas; revision 2 is judged once there are',
    });
    expect(isProven(unjudged, 0)).toBe(false);
    expect(isProven(unjudged, 1)).toBe(true);
    const crashed = sight([candidate('a', { restarts: 3 })], { replicas: 0 });
    expect(advance(rollout(), crashed, 2_000).phase).toBe('reverting');
    const failed = rollout({ phase: 'failed', good: null, goodNumber: null });
    expect(advance(failed, none, 2_000)).toBe(failed);
  });

  it('begins when there are replicas again of what was never seen healthy', () => {
    const app = { revision: 'rev-2', good: 'rev-1', replicas: 0 };
    expect(isToBeJudged(app, 2, rollout({ phase: 'completed' }))).toBe(true);
    expect(isToBeJudged({ ...app, good: null }, 2, rollout({ phase: 'failed' }))).toBe(true);
    expect(isToBeJudged(app, 2, rollout())).toBe(false);
    expect(isToBeJudged(app, 0, rollout({ phase: 'completed' }))).toBe(false);
    expect(isToBeJudged({ ...app, good: 'rev-2' }, 2, rollout({ phase: 'completed' }))).toBe(false);
    expect(isToBeJudged({ ...app, replicas: 1 }, 2, rollout({ phase: 'completed' }))).toBe(false);
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

  it('has all its time again once proxies are heard that were silent', () => {
    const seen = (isUnheard: boolean) => sight([candidate('a', { isHealthy: false })], { isUnheard });
    const waiting = advance(rollout(), seen(true), 10_000_000);
    expect(waiting).toMatchObject({ phase: 'running', progressAt: null });
    const heard = advance(waiting, seen(false), 20_000_000);
    expect(heard).toMatchObject({ phase: 'running', progressAt: 20_000_000 });
    expect(advance(heard, seen(false), 30_000_000).phase).toBe('reverting');
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

describe('a blue-green rollout', () => {
  const begun = rollout({ policy: { ...policy, strategy: { kind: 'blue-green' } } });
  const all = [candidate('a'), candidate('b')];

  it('switches when the whole new set is healthy and known to every proxy', () => {
    expect(advance(begun, sight([candidate('a')]), 2_000).step).toBe(0);
    expect(advance(begun, sight(all, { lagging: ['lb-1'] }), 2_000).step).toBe(0);
    expect(advance(begun, sight(all), 2_000).step).toBe(1);
  });

  it('keeps the old set until the new one has been healthy with all requests', () => {
    const switched = advance(begun, sight(all), 2_000);
    const waiting = advance(switched, sight(all), 3_000);
    expect(waiting.reason).toContain('requests are switched, the old set stays');
    expect([keepsOthers(begun), keepsOthers(waiting)]).toEqual([true, true]);
    const done = advance(waiting, sight(all), 13_000);
    expect([done.step, keepsOthers(done)]).toEqual([2, false]);
  });
});

describe('a version that is ready and answers 500', () => {
  const answers = (target: Record<string, Counts>, good: Counts = { requests: 1_000, failures: 1 }) => ({
    traffic: { target: new Map(Object.entries(target)), good, isGoodAsked: good.requests > 0 },
  });
  const begun = rollout({ policy: { ...policy, strategy: canary } });
  const one = [candidate('a')];

  it('is reverted as a canary, with both rates', () => {
    const seen = sight(one, answers({ a: { requests: 240, failures: 20 } }));
    expect(advance(begun, seen, 2_000)).toMatchObject({
      phase: 'reverting',
      failingInstance: 'a',
      reason: 'revision 2 failed: 8.3 % of 240 requests failed, 0.1 % on revision 1',
    });
  });

  it('is held to what it does in each step', () => {
    const good = { requests: 1_000, failures: 0 };
    const fine = sight(one, answers({ a: { requests: 5_000, failures: 0 } }, good));
    const next = advance({ ...begun, begunAt: 1_000, progressAt: 1_000, stepAt: 1_000 }, fine, 7_000);
    expect(next).toMatchObject({ step: 1, before: { target: { requests: 5_000 }, good } });
    const later = answers({ a: { requests: 5_100, failures: 20 } }, { requests: 1_100, failures: 0 });
    expect(advance(next, sight(one, later), 8_000).reason).toContain('20 % of 100 requests failed, 0 % on revision 1');
    expect(advance({ ...next, before: begun.before }, sight(one, later), 8_000).phase).toBe('running');
  });

  it('is held to the checks that it was given', () => {
    const lenient = { ...canary, checks: { errorRatePercentMax: 20, requestsMin: 300 } };
    const patient = rollout({ policy: { ...policy, strategy: lenient } });
    const phaseAt = (requests: number, failures: number) =>
      advance(patient, sight(one, answers({ a: { requests, failures } })), 2_000).phase;
    expect([phaseAt(299, 299), phaseAt(300, 60), phaseAt(300, 120)]).toEqual(['running', 'running', 'reverting']);
  });

  it('is reverted in any other rollout when one instance fails most of its requests', () => {
    const two = { a: { requests: 40, failures: 0 }, b: { requests: 40, failures: 39 } };
    const seen = sight([candidate('a'), candidate('b')], answers(two));
    expect(advance(rollout(), seen, 2_000)).toMatchObject({
      phase: 'reverting',
      failingInstance: 'b',
      reason: 'revision 2 failed: 97.5 % of 40 requests to b failed, 0.1 % on revision 1',
    });
  });

  it('is reverted where nobody asks the old one any more, which did well when it ran', () => {
    const after = (requests: number) =>
      advance(rollout(), sight(one, answers({ a: { requests, failures: requests } }, noRequests)), 2_000);
    expect(after(10).phase).toBe('running');
    expect(after(40)).toMatchObject({
      phase: 'reverting',
      reason: 'revision 2 failed: 100 % of 40 requests to a failed; revision 1 got none meanwhile',
    });
  });

  it('is reverted as a canary, too, where neither the good one is asked beside it', () => {
    const seen = answers({ a: { requests: 40, failures: 40 } }, noRequests);
    expect(advance(begun, sight(one, seen), 2_000)).toMatchObject({ phase: 'reverting', failingInstance: 'a' });
    const fewer = answers({ a: { requests: 400, failures: 40 } }, noRequests);
    expect(advance(begun, sight(one, fewer), 2_000).phase).toBe('running');
  });

  it('is not judged before anything is known of the old one that is asked beside it', () => {
    const { traffic } = answers({ a: { requests: 40, failures: 40 } }, noRequests);
    expect(advance(rollout(), sight(one, { traffic: { ...traffic, isGoodAsked: true } }), 2_000).phase).toBe('running');
  });

  it('is judged by what an instance did that is gone, and not while the fault is likely our own', () => {
    const gone = answers({ gone: { requests: 40, failures: 40 } });
    expect(advance(rollout(), sight([], gone), 2_000).phase).toBe('reverting');
    expect(advance(rollout(), sight([], { ...gone, isHeld: true }), 2_000).phase).toBe('running');
  });

  it('does not complete while it cannot be judged', () => {
    const ready = [candidate('a'), candidate('b'), candidate('c'), candidate('d')];
    const complete = (answered: Counts) =>
      advance(rollout(), sight(ready, { ...answers({ a: answered }), others: 0, isHeld: true }), 2_000);
    const reports = { phase: 'running', reason: 'held: at least half of all nodes are lost' };
    expect(complete({ requests: 40, failures: 40 })).toMatchObject(reports);
    expect(complete({ requests: 40, failures: 0 }).phase).toBe('completed');
  });

  it('is not judged where the old one fails as much, or there is none', () => {
    const all = answers({ a: { requests: 40, failures: 40 } }, { requests: 500, failures: 490 });
    expect(advance(rollout(), sight(one, all), 2_000).phase).toBe('running');
    expect(advance(rollout({ good: null, goodNumber: null }), sight(one, all), 2_000).phase).toBe('running');
  });
});

describe('before it goes on', () => {
  const all = [candidate('a'), candidate('b')];
  const seeing = (p: number, q: number, others = 0) =>
    sight(all, { others, reports: new Map([['p', p], ['q', q]]) }); // prettier-ignore

  it('a rollout waits until every proxy has reported once more', () => {
    const waiting = advance(rollout(), seeing(7, 3), 2_000);
    expect(waiting).toMatchObject({ phase: 'running', awaited: { p: 7, q: 3 } });
    expect(waiting.reason).toBe('waits for proxies to say how the new instances answer');
    expect(awaitsReports(waiting)).toBe(true);
    expect(advance(waiting, seeing(8, 3), 3_000).phase).toBe('running');
    expect(advance(waiting, seeing(8, 4), 3_000)).toMatchObject({ phase: 'completed', awaited: null });
    const alone = sight(all, { others: 0, reports: new Map([['p', 8]]) });
    expect(advance(waiting, alone, 3_000).phase).toBe('completed');
  });

  it('it waits anew after an instance was unwell, and a canary at each step', () => {
    const waiting = advance(rollout(), seeing(7, 3), 2_000);
    expect(advance(waiting, sight([candidate('a')], { others: 1 }), 2_500).awaited).toBeNull();
    const begun = rollout({ policy: { ...policy, strategy: canary }, begunAt: 1, progressAt: 1, stepAt: 1 });
    const held = advance(begun, seeing(1, 1, 2), 6_000);
    expect(held).toMatchObject({ step: 0, awaited: { p: 1, q: 1 } });
    expect(advance(held, seeing(2, 2, 2), 6_100)).toMatchObject({ step: 1, awaited: null });
  });

  it('a first rollout waits for nobody: there is nothing to compare with', () => {
    const first = rollout({ good: null, goodNumber: null });
    expect(advance(first, seeing(7, 3), 2_000).phase).toBe('completed');
  });
});
