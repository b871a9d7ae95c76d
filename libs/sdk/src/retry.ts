/** Tries an idempotent call again while the failure says that trying again can help. */
import { AltoError } from '@alto/contracts';

export interface RetryPolicy {
  /** Tries after the first one. */
  retriesMax: number;
  /** Ceiling of the first pause; doubles with each try. The pause is random below the ceiling, so that clients spread. */
  pauseMs: number;
  pauseMaxMs: number;
}

/** `attempt` throws AltoError; `retryAfterMs` in the details of one is a floor for the pause. */
export async function retrying<T>(policy: RetryPolicy, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const retryable = error instanceof AltoError && error.retryable && error.code !== 'timeout';
      if (!retryable || tries >= policy.retriesMax || signal.aborted) throw error;
      await pause(pauseBefore(policy, tries, error), signal);
      if (signal.aborted) throw error;
    }
  }
}

export function pauseBefore(policy: RetryPolicy, tries: number, error?: AltoError): number {
  const ceiling = Math.min(policy.pauseMaxMs, policy.pauseMs * 2 ** tries);
  const floor = error?.details?.retryAfterMs;
  return Math.random() * ceiling + (typeof floor === 'number' ? floor : 0);
}

/** Ends early, without an error, when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
