import { ejections, judge, noOutliers, type Outliers, remembered, restored } from './outliers.state';

const limits = { baseMs: 10_000, maxMs: 40_000 };

/** Endpoints that are asked ten times a second each, and a clock. */
class World {
  nowMs = 1_000_000;
  outliers: Outliers = noOutliers;
  /** Endpoint → share of its requests that fail. */
  readonly failing = new Map<string, number>();
  private readonly sums = new Map<string, { requests: number; failures: number }>();

  constructor(
    public endpoints: string[],
    private readonly perSecond = 10,
    private readonly used = limits,
  ) {
    this.look();
  }

  get out(): string[] {
    return [...ejections(this.outliers).keys()].sort();
  }

  after(seconds: number): this {
    for (let second = 0; second < seconds; second++) {
      this.nowMs += 1_000;
      const serving = this.endpoints.filter((id) => !this.out.includes(id));
      for (const id of serving) {
        const sum = this.sums.get(id) ?? { requests: 0, failures: 0 };
        const failures = this.perSecond * (this.failing.get(id) ?? 0);
        this.sums.set(id, { requests: sum.requests + this.perSecond, failures: sum.failures + failures });
      }
      this.look();
    }
    return this;
  }

  countAnew(): void {
    this.sums.clear();
  }

  private look(): void {
    const traffic = [...this.sums].map(([endpoint, sum]) => ({ endpoint, ...sum }));
    this.outliers = judge(this.outliers, [{ pool: 'a', endpoints: this.endpoints }], traffic, this.nowMs, this.used);
  }
}

it('takes out the one that fails, and says why and until when', () => {
  const world = new World(['a', 'b', 'c']);
  world.failing.set('b', 1);
  expect(world.after(1).out).toEqual([]);
  world.after(1);
  expect([...ejections(world.outliers)]).toEqual([
    [
      'b',
      {
        sinceMs: world.nowMs,
        untilMs: world.nowMs + 10_000,
        reason: "20 of its last 20 requests failed, and 0 of 40 of the others'",
      },
    ],
  ]);
});

it('doubles the time as long as it fails again, up to the bound, and begins anew after it served well for as long', () => {
  const world = new World(['a', 'b']);
  world.failing.set('b', 0.8);
  const lasts: number[] = [];
  for (let round = 0; round < 5; round++) {
    while (world.out.length === 0) world.after(1);
    const { sinceMs, untilMs } = ejections(world.outliers).get('b')!;
    lasts.push(untilMs - sinceMs);
    world.after((untilMs - world.nowMs) / 1_000 - 1);
    expect(world.out).toEqual(['b']);
    world.after(1);
    expect(world.out).toEqual([]);
  }
  expect(lasts).toEqual([10_000, 20_000, 40_000, 40_000, 40_000]);
  world.failing.clear();
  world.after(41);
  expect(world.out).toEqual([]);
  world.failing.set('b', 1);
  while (world.out.length === 0) world.after(1);
  const { sinceMs, untilMs } = ejections(world.outliers).get('b')!;
  expect(untilMs - sinceMs).toBe(10_000);
});

it('keeps nobody out for longer when the clock is set back', () => {
  const world = new World(['a', 'b']);
  world.failing.set('b', 1);
  world.after(2);
  expect(world.out).toEqual(['b']);
  world.nowMs -= 3_600_000;
  world.failing.clear();
  expect(world.after(1).out).toEqual([]);
  world.failing.set('b', 1);
  expect(world.after(3).out).toEqual(['b']);
});

it('never takes out more than half, nor the last one', () => {
  const many = new World(['a', 'b', 'c', 'd', 'e']);
  for (const id of ['a', 'b', 'c', 'd']) many.failing.set(id, 1);
  expect(many.after(20).out).toEqual([]);
  const few = new World(['a', 'b', 'c', 'd', 'e']);
  few.failing.set('a', 1);
  few.after(2);
  few.failing.set('b', 1);
  few.after(8);
  few.failing.set('c', 1);
  expect(few.after(5).out).toHaveLength(2);
  const alone = new World(['a']);
  alone.failing.set('a', 1);
  expect(alone.after(20).out).toEqual([]);
  const pair = new World(['a', 'b']);
  pair.failing.set('a', 1);
  pair.after(2);
  pair.failing.set('b', 1);
  expect(pair.after(5).out).toEqual(['a']);
});

it('leaves an app alone that fails everywhere, or hardly, or is hardly asked', () => {
  const everywhere = new World(['a', 'b', 'c']);
  for (const id of everywhere.endpoints) everywhere.failing.set(id, 0.9);
  expect(everywhere.after(20).out).toEqual([]);
  const hardly = new World(['a', 'b']);
  hardly.failing.set('a', 0.3);
  expect(hardly.after(20).out).toEqual([]);
  const quiet = new World(['a', 'b'], 0.4);
  quiet.failing.set('a', 1);
  expect(quiet.after(30).out).toEqual([]);
});

it('lets those come back first whose time is over soonest when siblings go', () => {
  const world = new World(['a', 'b', 'c', 'd']);
  world.failing.set('a', 1);
  world.after(2);
  world.failing.set('b', 1);
  world.after(2);
  expect(world.out).toEqual(['a', 'b']);
  world.endpoints = ['a', 'b', 'c'];
  world.failing.clear();
  expect(world.after(1).out).toEqual(['b']);
  world.endpoints = ['b'];
  expect(world.after(1).out).toEqual([]);
});

it('forgets who is not meant to serve any more, and takes no count that begins anew for failures', () => {
  const world = new World(['a', 'b']);
  world.failing.set('b', 1);
  world.after(2);
  world.endpoints = ['a'];
  expect(world.after(1).out).toEqual([]);
  world.failing.clear();
  world.endpoints = ['a', 'b'];
  world.after(5);
  world.countAnew();
  expect(world.after(12).out).toEqual([]);
});

it('takes nobody out where that is turned off', () => {
  const world = new World(['a', 'b'], 10, { ...limits, baseMs: 0 });
  world.failing.set('b', 1);
  expect(world.after(20).out).toEqual([]);
});

it('is remembered by who takes over, and ends in time there as well', () => {
  const world = new World(['a', 'b', 'c']);
  world.failing.set('b', 1);
  world.after(2);
  world.outliers = restored(remembered(world.outliers), world.nowMs);
  expect(world.after(9).out).toEqual(['b']);
  world.failing.clear();
  expect(world.after(1).out).toEqual([]);
});
