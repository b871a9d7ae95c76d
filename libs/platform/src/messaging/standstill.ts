/**
 * A process that was frozen, or kept from running, finds requests whose callers may have given up long ago: their budget
 * began to run when they were sent. How long they have lain nobody says, but no longer than the process stood still.
 */
const lookEveryMs = 500;
/** Shorter ones take no more from a budget than the way over the network does. */
const standstillMs = 1_500;

export class Standstill {
  private seenAt = performance.now();
  private longestMs = 0;
  private readonly timer = setInterval(() => this.look(), lookEveryMs).unref();

  /** @param caughtUp resolves when all that lay unread has been read, or rejects when the connection was lost */
  constructor(private readonly caughtUp: () => Promise<unknown>) {}

  /** How long a message that is read now may have lain unread; 0 while the process runs as it should. */
  lagMs(): number {
    // What lies unread may be handed out before any timer runs.
    this.look();
    return this.longestMs;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    const now = performance.now();
    const gapMs = now - this.seenAt;
    this.seenAt = now;
    if (gapMs < standstillMs) return;
    this.longestMs = Math.max(this.longestMs, gapMs);
    const over = () => {
      this.longestMs = 0;
    };
    this.caughtUp().then(over, over);
  }
}
