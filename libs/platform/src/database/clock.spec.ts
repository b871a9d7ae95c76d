import { SystemClock } from './clock';
import { FakeClock } from './clock.fake';

describe('SystemClock', () => {
  it('tells the machine time without an offset file', () => {
    const before = Date.now();
    expect(new SystemClock().nowMs()).toBeGreaterThanOrEqual(before);
  });

  it('moves by the offset in the file', () => {
    const clock = new SystemClock('/offset', () => '86400000\n');
    expect(clock.nowMs() - Date.now()).toBeGreaterThan(86_390_000);
  });

  it.each([
    ['holds no number', () => 'soon'],
    [
      'is missing',
      () => {
        throw new Error('ENOENT');
      },
    ],
  ])('ignores a file that %s', (_case, read) => {
    expect(Math.abs(new SystemClock('/offset', read).nowMs() - Date.now())).toBeLessThan(1_000);
  });

  it('does not read the file at each call', () => {
    let reads = 0;
    const clock = new SystemClock('/offset', () => String((reads += 1)));
    clock.nowMs();
    clock.nowMs();
    expect(reads).toBe(1);
  });
});

describe('FakeClock', () => {
  it('moves only when told', () => {
    const clock = new FakeClock(1_000);
    clock.advance(500);
    expect(clock.now()).toEqual(new Date(1_500));
  });
});
