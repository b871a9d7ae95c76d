/** Waits that end early when their owner stops. */

/** Resolves after `ms`, or at once when the signal aborts; never rejects. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish, { once: true });
  });
}

/** Exponential backoff with full jitter in its upper half: between half of the step and the step. */
export function backoffMs(attempt: number, firstMs: number, maxMs: number): number {
  const step = Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 20));
  return step / 2 + Math.random() * (step / 2);
}
