import { Random, runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { type Counts, defaultChecks, failedInWords, isWorse, mostlyFailing, percentInWords, since } from './error-rate';

const counts = (failures: number, requests: number): Counts => ({ requests, failures });
const some: fc.Arbitrary<Counts> = fc
  .tuple(fc.integer({ min: 1, max: 100_000 }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([requests, share]) => counts(Math.round(requests * share), requests));

describe('a new revision against the old one', () => {
  it.each([
    ['fails everything from its smallest sample on', counts(20, 20), counts(0, 20), true],
    ['fails some of many', counts(20, 240), counts(1, 1_000), true],
    ['fails as often as the old one', counts(80, 240), counts(330, 1_000), false],
    ['fails a little more than nothing', counts(1, 100), counts(0, 900), false],
    ['fails no more than is allowed', counts(90, 10_000), counts(0, 10_000), false],
    ['has had too few requests to tell', counts(19, 19), counts(0, 1_000), false],
    ['has nothing to be compared with', counts(50, 50), counts(0, 0), false],
  ])('%s', (_what, fresh, old, expected) => expect(isWorse(fresh, old, defaultChecks)).toBe(expected));

  it('is never worse than one that fails at least as often, whatever the samples', () => {
    fc.assert(
      fc.property(some, some, (one, other) => {
        const [better, worse] =
          one.failures * other.requests <= other.failures * one.requests ? [one, other] : [other, one];
        expect(isWorse(better, worse, { errorRatePercentMax: 0, requestsMin: 1 })).toBe(false);
      }),
      runs(100),
    );
  });

  it('that is worse stays so with more failures, a larger sample or a stricter check', () => {
    fc.assert(
      fc.property(some, some, fc.nat(20), (fresh, old, percent) => {
        const checks = { errorRatePercentMax: percent, requestsMin: 10 };
        fc.pre(isWorse(fresh, old, checks));
        expect(isWorse(counts(fresh.requests, fresh.requests), old, checks)).toBe(true);
        const tenfold = (one: Counts) => counts(one.failures * 10, one.requests * 10);
        expect(isWorse(tenfold(fresh), tenfold(old), checks)).toBe(true);
        expect(isWorse(fresh, old, { ...checks, errorRatePercentMax: percent / 2 })).toBe(true);
      }),
      runs(1_000),
    );
  });

  it('that fails alike is told apart by chance in hardly any of a thousand looks', () => {
    const random = new Random(7);
    const sample = (requests: number, rate: number) =>
      counts(Array.from({ length: requests }, () => random.chance(rate)).filter(Boolean).length, requests);
    for (const rate of [0.01, 0.1, 0.5]) {
      for (const requests of [20, 100]) {
        const looks = Array.from({ length: 1_000 }, () => {
          return isWorse(sample(requests, rate), sample(requests * 9, rate), defaultChecks);
        });
        expect(looks.filter(Boolean).length).toBeLessThan(5);
      }
    }
  });

  it('is never worse by more than everything', () => {
    expect(isWorse(counts(9_999, 9_999), counts(0, 9_999), { errorRatePercentMax: 100, requestsMin: 1 })).toBe(false);
  });
});

it('an instance fails mostly when nearly all of few requests or most of many fail', () => {
  const old = counts(2, 1_000);
  expect(isWorse(counts(10, 10), old, mostlyFailing)).toBe(true);
  expect(isWorse(counts(9, 9), old, mostlyFailing)).toBe(false);
  expect(isWorse(counts(60, 100), old, mostlyFailing)).toBe(false);
  expect(isWorse(counts(700, 1_000), old, mostlyFailing)).toBe(true);
});

it('counts are said as people read them', () => {
  expect(failedInWords(counts(20, 240))).toBe('8.3 % of 240 requests');
  expect([percentInWords(counts(0, 9)), percentInWords(counts(1, 10_000)), percentInWords(counts(0, 0))]).toEqual([
    '0 %',
    'less than 0.1 %',
    '0 %',
  ]);
  expect(since(counts(1, 5), counts(2, 9))).toEqual(counts(0, 0));
});
