/**
 * Whether a server that one is connected to still answers. A frozen one, or one behind a cut cable, breaks no
 * connection: without this each request would wait its whole time for it.
 */
import { performance } from 'node:perf_hooks';

export interface PulseTimes {
  readonly everyMs: number;
  /** Without an answer for this long the server counts as silent. */
  readonly silentAfterMs: number;
}

export class Pulse {
  private heardAt = performance.now();
  private beatAt = performance.now();
  private isSilent = false;
  private asking = false;
  private readonly timer: NodeJS.Timeout;

  /**
   * @param ask resolves when the server has answered; may reject or never settle
   * @param changed told when the server falls silent, and when it is heard again
   */
  constructor(
    private readonly ask: () => Promise<unknown>,
    private readonly changed: (isSilent: boolean) => void,
    private readonly times: PulseTimes,
  ) {
    this.timer = setInterval(() => this.beat(), times.everyMs);
    this.timer.unref();
    this.beat();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private beat(): void {
    const now = performance.now();
    // While this process itself did not run it could hear nothing: that time says nothing about the server.
    this.heardAt += Math.max(0, now - this.beatAt - 2 * this.times.everyMs);
    this.beatAt = now;
    if (!this.asking) void this.question();
    // What has come in meanwhile is read first.
    setImmediate(() => {
      if (now - this.heardAt > this.times.silentAfterMs) this.become(true);
    });
  }

  private async question(): Promise<void> {
    this.asking = true;
    try {
      await this.ask();
      this.heardAt = performance.now();
      this.become(false);
    } catch {
      // The connection broke, which tells of itself.
    } finally {
      this.asking = false;
    }
  }

  private become(isSilent: boolean): void {
    if (this.isSilent === isSilent) return;
    this.isSilent = isSilent;
    this.changed(isSilent);
  }
}
