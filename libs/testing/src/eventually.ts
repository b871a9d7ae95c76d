/** Waiting in tests: for something to become true, never for time to pass. */

export interface EventuallyOptions {
  /** How long it may take; 10 s unless given. */
  readonly withinMs?: number;
  /** Pause between tries. */
  readonly everyMs?: number;
}

/** Calls `attempt` until it does not throw, and returns its value. @throws its last error when time is up. */
export async function eventually<T>(attempt: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  const { withinMs = 10_000, everyMs = 20 } = options;
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
