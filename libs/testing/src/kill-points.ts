/**
 * Points in a process at which it can be made to kill itself as a machine would, with nothing flushed and nobody told:
 * wherever something is about to be persisted or sent, or has just been. A test first lets the process tell which
 * points it passes, and then lets it die at each of them.
 */
export class KillPoints {
  private passed: string[] = [];
  private fatal: { readonly what: string; left: number } | undefined;

  /** Begins to note anew what is passed. */
  record(): void {
    this.passed = [];
  }

  /** What was passed since {@link record}, in order. */
  get recorded(): readonly string[] {
    return this.passed;
  }

  /** It dies when it passes that point for the n-th time from here on, counted from 1. */
  arm(what: string, time: number): void {
    this.fatal = { what, left: time };
  }

  /** It dies at no point any more. */
  disarm(): void {
    this.fatal = undefined;
  }

  /** @param what is about to be done, or has just been */
  pass(what: string): void {
    this.passed.push(what);
    if (this.fatal?.what !== what) return;
    this.fatal.left -= 1;
    if (this.fatal.left === 0) process.kill(process.pid, 'SIGKILL');
  }
}
