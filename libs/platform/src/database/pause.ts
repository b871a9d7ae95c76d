/** Waits that end early when their owner stops or is woken. */

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

/** A bell that can be rung before anyone listens: one ring ends one wait, rings in between count once. */
export class Bell {
  private rung = false;
  private wake: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.wake?.();
  }

  /**
   * Resolves when the bell is rung, after `ms`, or when the signal aborts. One waiter at a time.
   * @returns whether it was rung
   */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.rung) await this.ringOrPause(ms, signal);
    const { rung } = this;
    this.rung = false;
    return rung;
  }

  private ringOrPause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const finish = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        this.wake = undefined;
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal.addEventListener('abort', finish, { once: true });
      this.wake = finish;
    });
  }
}
