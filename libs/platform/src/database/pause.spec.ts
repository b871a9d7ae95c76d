import { backoffMs, Bell, pause } from './pause';

const never = new AbortController().signal;
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

describe('Bell', () => {
  it('remembers a ring that came before the wait, once', async () => {
    const bell = new Bell();
    bell.ring();
    bell.ring();
    expect(await bell.wait(longMs, never)).toBe(true);
    const second = bell.wait(longMs, never);
    bell.ring();
    expect(await second).toBe(true);
    expect(await bell.wait(1, never)).toBe(false);
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
