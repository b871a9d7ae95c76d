import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { type Tally, tally } from './traffic';

describe('what a proxy counts', () => {
  it('is taken as it is of an instance made for the rollout, and from the first report on of an older one', () => {
    const first = { requests: 1_000, failures: 10 };
    const fresh = tally(null, first, true);
    const old = tally(null, first, false);
    expect([fresh, old]).toMatchObject([first, { requests: 0, failures: 0 }]);
    const next = { requests: 1_005, failures: 11 };
    expect([tally(fresh, next, true), tally(old, next, false)]).toMatchObject([next, { requests: 5, failures: 1 }]);
  });

  it('adds up to what was sent, however often the proxy starts anew', () => {
    const script = fc.array(fc.record({ requests: fc.nat(50), failing: fc.nat(50), restarts: fc.boolean() }));
    fc.assert(
      fc.property(script, (steps) => {
        let told: Tally | null = tally(null, { requests: 0, failures: 0 }, true);
        let [sent, failed] = [0, 0];
        let counter = { requests: 0, failures: 0 };
        for (const { requests, failing, restarts } of steps) {
          const failures = Math.min(requests, failing);
          // A restart that nobody can see: as much as before has been counted again when it reports.
          const isSeen = requests < counter.requests;
          if (restarts && isSeen) counter = { requests: 0, failures: 0 };
          counter = { requests: counter.requests + requests, failures: counter.failures + failures };
          [sent, failed] = [sent + requests, failed + failures];
          told = tally(told, counter, true);
        }
        expect(told).toMatchObject({ requests: sent, failures: failed });
      }),
      runs(100),
    );
  });
});
