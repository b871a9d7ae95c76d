import { SilenceWatch, stallMs } from './silence';

const beats = (count: number) => new Map([['a', count]]);

/** Looks every second. @returns silence after each look */
function looks(watch: SilenceWatch, from: number, counts: readonly number[], deaf = false): number[] {
  return counts.map((count, index) => watch.look(beats(count), from + index * 1_000, deaf).get('a')!);
}

describe('silence', () => {
  it('is the time since the counter last moved', () => {
    expect(looks(new SilenceWatch(), 0, [1, 1, 1, 2, 2])).toEqual([0, 1_000, 2_000, 0, 1_000]);
  });

  it('begins anew with a new watch, so that a successor gives everyone a full term', () => {
    expect(looks(new SilenceWatch(), 0, [5, 5, 5])).toEqual([0, 1_000, 2_000]);
    expect(looks(new SilenceWatch(), 60_000, [5, 5])).toEqual([0, 1_000]);
  });

  it('does not count while we ourselves stood still', () => {
    const watch = new SilenceWatch();
    looks(watch, 0, [1, 1, 1]);
    const frozenMs = stallMs + 20_000;
    expect(looks(watch, 2_000 + frozenMs, [1, 1])).toEqual([2_000, 3_000]);
  });

  it('does not count while nothing could be heard', () => {
    const watch = new SilenceWatch();
    looks(watch, 0, [1, 1]);
    expect(looks(watch, 2_000, [1, 1, 1], true)).toEqual([1_000, 1_000, 1_000]);
    expect(looks(watch, 5_000, [1])).toEqual([2_000]);
  });

  it('forgets who is gone', () => {
    const watch = new SilenceWatch();
    looks(watch, 0, [1, 1]);
    expect(watch.look(new Map(), 2_000).size).toBe(0);
    expect(looks(watch, 3_000, [1])).toEqual([0]);
  });
});
