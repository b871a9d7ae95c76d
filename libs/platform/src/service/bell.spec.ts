import { Bell } from './bell';

const never = new AbortController().signal;

describe('a bell', () => {
  it('ends a wait when it is rung', async () => {
    const bell = new Bell();
    const waiting = bell.wait(60_000, never);
    bell.ring();
    expect(await waiting).toBe(true);
  });

  it('rung while nobody waits, ends the next wait at once, and only that one', async () => {
    const bell = new Bell();
    bell.ring();
    bell.ring();
    expect(await bell.wait(60_000, never)).toBe(true);
    expect(await bell.wait(1, never)).toBe(false);
  });

  it('does not keep a service that stops', async () => {
    const stopping = new AbortController();
    const waiting = new Bell().wait(60_000, stopping.signal);
    stopping.abort();
    expect(await waiting).toBe(false);
    expect(await new Bell().wait(60_000, stopping.signal)).toBe(false);
  });
});
