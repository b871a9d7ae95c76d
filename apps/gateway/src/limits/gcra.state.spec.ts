import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { intervalUs, quotaOf, type RatePolicy, take, toleranceUs } from './gcra.state';

const policies = fc.record({
  perSecond: fc.integer({ min: 1, max: 100_000 }),
  windowSeconds: fc.integer({ min: 1, max: 60 }),
});
const requests = fc.array(fc.record({ waitUs: fc.nat(3_000_000), wanted: fc.nat(50) }), { maxLength: 60, size: 'max' });

/** Takes one after the other. */
function run(policy: RatePolicy, script: readonly { waitUs: number; wanted: number }[]) {
  const startUs = 1_800_000_000_000_000;
  const steps: { atUs: number; wanted: number; granted: number; remaining: number; retryAfterUs: number }[] = [];
  let [tatUs, nowUs] = [0, startUs];
  for (const { waitUs, wanted } of script) {
    nowUs += waitUs;
    const taken = take(policy, tatUs, nowUs, wanted);
    tatUs = taken.tatUs;
    steps.push({ atUs: nowUs, wanted, ...taken });
  }
  return steps;
}

const check = (property: fc.IProperty<[RatePolicy, { waitUs: number; wanted: number }[]]>) =>
  fc.assert(property, runs(300));

it('never lets through more than the quota and what an even pace gives, in any stretch of time', () => {
  check(
    fc.property(policies, requests, (policy, script) => {
      const steps = run(policy, script);
      for (let from = 0; from < steps.length; from += 7) {
        let sum = 0;
        for (const step of steps.slice(from)) {
          sum += step.granted;
          const elapsedUs = step.atUs - (steps[from]?.atUs ?? 0);
          expect(sum).toBeLessThanOrEqual(quotaOf(policy) + Math.floor(elapsedUs / intervalUs(policy)));
        }
      }
    }),
  );
});

it('refuses nothing that the pace allows, and grants no more than was wanted', () => {
  check(
    fc.property(policies, requests, (policy, script) => {
      for (const { wanted, granted, remaining, retryAfterUs } of run(policy, script)) {
        expect(granted).toBeLessThanOrEqual(wanted);
        if (granted < wanted) expect(remaining).toBe(0);
        expect(retryAfterUs > 0).toBe(remaining === 0);
        expect(retryAfterUs).toBeLessThanOrEqual(intervalUs(policy));
      }
    }),
  );
});

it('has one more exactly when it said so', () => {
  check(
    fc.property(policies, requests, (policy, script) => {
      const nowUs = 5_000_000;
      const drained = take(policy, 0, nowUs, quotaOf(policy) + script.length);
      expect([drained.granted, drained.remaining]).toEqual([quotaOf(policy), 0]);
      expect(take(policy, drained.tatUs, nowUs + drained.retryAfterUs - 1, 1).granted).toBe(0);
      expect(take(policy, drained.tatUs, nowUs + drained.retryAfterUs, 1).granted).toBe(1);
    }),
  );
});

it('is full again after its window, however long it was left alone', () => {
  const policy = { perSecond: 100, windowSeconds: 10 };
  const drained = take(policy, 0, 1_000, 2_000);
  expect(drained.granted).toBe(1_000);
  expect(take(policy, drained.tatUs, 1_000 + toleranceUs(policy), 9_999).granted).toBe(1_000);
  expect(take(policy, drained.tatUs, 1_000_000_000_000, 9_999).granted).toBe(1_000);
});
