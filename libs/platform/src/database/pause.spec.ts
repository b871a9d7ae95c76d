import { backoffMs, pause } from './pause';

const longMs = 600_000;

describe('pause', () => {
  it('ends when its signal aborts, before or during', async () => {
    await pause(longMs, AbortSignal.abort());
    const owner = new AbortController();
    const waiting = pause(longMs, owner.signal);
    owner.abort();
    await waiting;
  });
});

describe('backoffMs', () => {
  it('doubles up to its maximum, with jitter in the upper half', () => {
    for (let attempt = 0; attempt < 50; attempt++) {
      const wait = backoffMs(attempt, 100, 5_000);
      const step = Math.min(5_000, 100 * 2 ** attempt);
      expect(wait).toBeGreaterThanOrEqual(step / 2);
      expect(wait).toBeLessThanOrEqual(step);
    }
  });
});
