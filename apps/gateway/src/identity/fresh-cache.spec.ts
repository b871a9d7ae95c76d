import { FreshCache } from './fresh-cache';

function harness() {
  const state = {
    nowMs: 0,
    loads: 0,
    source: async (): Promise<{ name: string } | undefined> => ({ name: 'one' }),
  };
  const cache = new FreshCache<{ name: string }>({
    load: () => {
      state.loads++;
      return state.source();
    },
    freshMs: 1_000,
    staleMs: 60_000,
    patienceMs: 5,
    entriesMax: 10,
    now: () => state.nowMs,
  });
  return { state, cache };
}

const away = async () => {
  throw new Error('away');
};

describe('FreshCache', () => {
  it('reads once while a value is fresh, and once for many who ask together', async () => {
    const { state, cache } = harness();
    await Promise.all([cache.get('a'), cache.get('a'), cache.get('a')]);
    state.nowMs = 999;
    expect(await cache.get('a')).toEqual({ name: 'one' });
    expect(state.loads).toBe(1);
    state.nowMs = 1_000;
    await cache.get('a');
    expect(state.loads).toBe(2);
  });

  it('reads again at once after an invalidation, and keeps nothing that was read before it', async () => {
    const { state, cache } = harness();
    let answer = (_: { name: string }): void => undefined;
    state.source = () => new Promise((resolve) => (answer = resolve));
    const early = cache.get('a');
    cache.invalidate('a');
    answer({ name: 'before the change' });
    await early;
    state.source = async () => ({ name: 'after the change' });
    expect(await cache.get('a')).toEqual({ name: 'after the change' });
  });

  it('stands in with the last value while the source is away, for as long as was agreed', async () => {
    const { state, cache } = harness();
    await cache.get('a');
    state.source = away;
    state.nowMs = 59_000;
    expect(await cache.get('a')).toEqual({ name: 'one' });
    await expect(cache.get('b')).rejects.toThrow('away');
    state.nowMs = 60_001;
    await expect(cache.get('a')).rejects.toThrow('away');
  });

  it('does not wait long for a slow source', async () => {
    const { state, cache } = harness();
    await cache.get('a');
    state.source = () => new Promise(() => undefined);
    state.nowMs = 2_000;
    expect(await cache.get('a')).toEqual({ name: 'one' });
  });

  it('believes a source that says the value is gone', async () => {
    const { state, cache } = harness();
    await cache.get('a');
    state.source = async () => undefined;
    state.nowMs = 2_000;
    expect(await cache.get('a')).toBeUndefined();
    state.source = away;
    await expect(cache.get('a')).rejects.toThrow('away');
  });
});
