/**
 * Randomness that can be replayed: one number, printed when a test fails, given back in ALTO_SEED. `npm test` gives 1
 * unless told otherwise, so that nobody's change is refused for what somebody else's left to be found.
 */

/** A small generator of good quality (mulberry32): the same seed gives the same sequence everywhere. */
export class Random {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From 0 to below `limit`. */
  integer(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('pick: the list is empty');
    return list[this.integer(list.length)]!;
  }

  shuffle<T>(list: readonly T[]): T[] {
    const shuffled = [...list];
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
    }
    return shuffled;
  }
}

/** The seed in ALTO_SEED, or a new one. */
export function newSeed(): number {
  return wholeNumber('ALTO_SEED') ?? Math.floor(Math.random() * 2 ** 32);
}

/** For a property of fast-check: how many examples it is held to, and as many times more as ALTO_RUNS says. */
export function runs(count: number): { numRuns: number; seed: number } {
  return { numRuns: count * (wholeNumber('ALTO_RUNS') ?? 1), seed: newSeed() };
}

function wholeNumber(variable: string): number | undefined {
  const given = process.env[variable];
  if (given === undefined || given === '') return undefined;
  const number = Number(given);
  if (!Number.isInteger(number)) throw new Error(`${variable} must be a whole number, not ${given}.`);
  return number;
}

/** Runs the body with a generator; an error tells the seed that brings it back. */
export async function withSeed<T>(body: (random: Random) => Promise<T>, seed = newSeed()): Promise<T> {
  try {
    return await body(new Random(seed));
  } catch (error) {
    throw new Error(`${(error as Error).message}\nReplay with ALTO_SEED=${seed}`, { cause: error });
  }
}
