import { newSeed, Random, runs, withSeed } from './seed';

describe('Random', () => {
  it('repeats itself for the same seed', () => {
    const draw = (seed: number) => Array.from({ length: 5 }, new Random(seed).next.bind(new Random(seed)));
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it('covers its range', () => {
    const random = new Random(1);
    const seen = new Set(Array.from({ length: 200 }, () => random.integer(5)));
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(random.shuffle([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
  });
});

describe('withSeed', () => {
  it('names the seed of a failure', async () => {
    const run = withSeed(async () => {
      throw new Error('an order was broken');
    }, 42);
    await expect(run).rejects.toThrow(/an order was broken\nReplay with ALTO_SEED=42/);
  });
});

describe('the environment', () => {
  const { ALTO_SEED, ALTO_RUNS } = process.env;
  const set = (seed: string, factor: string) => Object.assign(process.env, { ALTO_SEED: seed, ALTO_RUNS: factor });
  afterEach(() => void set(ALTO_SEED ?? '', ALTO_RUNS ?? ''));

  it('sets the seed and how much further to look', () => {
    set('7', '10');
    expect(runs(30)).toEqual({ numRuns: 300, seed: 7 });
    set('', '');
    expect(runs(30)).toMatchObject({ numRuns: 30 });
    expect(newSeed()).not.toBe(newSeed());
  });

  it('is refused where it is no number', () => {
    set('seven', '');
    expect(newSeed).toThrow('ALTO_SEED must be a whole number, not seven.');
  });
});
