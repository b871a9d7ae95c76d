/** Waiting in tests: for a fact, within a bound, never for a time. */

/** Who waits longer on a slow machine loses nothing on a quick one. */
const patienceMs = 30_000;

export interface EventuallyOptions {
  /** Half a minute unless given. */
  readonly withinMs?: number;
  readonly everyMs?: number;
}

/**
 * Calls `probe` until it neither throws nor returns false, and returns what it returned.
 * @throws the last error of the probe when the time is over, with the time in its message
 */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, false>> {
  const { withinMs = patienceMs, everyMs = 20 } = options;
  const deadline = performance.now() + withinMs;
  for (;;) {
    const attempt = await outcome(probe);
    if ('value' in attempt && attempt.value !== false) return attempt.value as Exclude<T, false>;
    if (performance.now() >= deadline) throw overdue(attempt, withinMs);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

type Outcome<T> = { value: T } | { error: unknown };

async function outcome<T>(probe: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await probe() };
  } catch (error) {
    return { error };
  }
}

function overdue(attempt: Outcome<unknown>, withinMs: number): Error {
  const reason =
    'error' in attempt ? String((attempt.error as Error)?.message ?? attempt.error) : 'the probe returned false';
  return new Error(`Not within ${withinMs} ms: ${reason}`, 'error' in attempt ? { cause: attempt.error } : undefined);
}
