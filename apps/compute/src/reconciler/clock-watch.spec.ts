import { ClockWatch } from './clock-watch';

describe('a look at the clock', () => {
  it('notices that it was set, forward or back, and not how long the look before is ago', () => {
    const watch = new ClockWatch();
    watch.look(1_000_000, 0);
    watch.look(1_060_000, 60_000.4);
    expect(watch.unrecorded).toEqual([]);
    watch.look(1_661_000, 61_000.4);
    watch.look(1_062_000, 62_000.4);
    watch.look(1_063_000, 63_000.4);
    expect(watch.unrecorded).toEqual([
      { expected: 1_061_000, shown: 1_661_000 },
      { expected: 1_662_000, shown: 1_062_000 },
    ]);
  });

  it('says what is not recorded yet', () => {
    const watch = new ClockWatch();
    watch.look(0, 0);
    watch.look(10_000, 1_000);
    const { unrecorded } = watch;
    watch.look(21_000, 2_000);
    watch.recorded(unrecorded);
    expect(watch.unrecorded).toEqual([{ expected: 11_000, shown: 21_000 }]);
  });
});
