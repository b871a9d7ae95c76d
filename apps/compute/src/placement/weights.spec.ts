import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { weightsFor } from './weights';

describe('weights', () => {
  it('are left out where they do not matter', () => {
    expect(weightsFor(null, 1, 3)).toEqual({ target: null, other: null });
    expect(weightsFor(10, 0, 3)).toEqual({ target: null, other: null });
    expect(weightsFor(0, 3, 0)).toEqual({ target: null, other: null });
  });

  it('give all or nothing', () => {
    expect(weightsFor(0, 3, 3)).toEqual({ target: 0, other: null });
    expect(weightsFor(100, 3, 3)).toEqual({ target: null, other: 0 });
  });

  it('give the share that is asked for, as exactly as whole numbers can', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 99 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 10 }),
        (share, targets, others) => {
          const { target, other } = weightsFor(share, targets, others);
          const [own, rest] = [(target ?? 100) * targets, (other ?? 100) * others];
          expect(Math.max(target ?? 100, other ?? 100)).toBeLessThanOrEqual(256);
          expect(Math.abs((100 * own) / (own + rest) - share)).toBeLessThan(4);
        },
      ),
      runs(100),
    );
  });
});
