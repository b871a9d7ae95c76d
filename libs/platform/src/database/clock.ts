/**
 * Business time. Everything that a person or a contract calls "when" comes from here, so that a test can
 * move it, across processes too; SQL `now()` and timers are never the only record of a due time.
 */
import { readFileSync } from 'node:fs';

/** How old the offset read from the file may be: short enough for tests, long enough to cost nothing. */
const offsetReadEveryMs = 50;

export abstract class Clock {
  /** Unix time in milliseconds. */
  abstract nowMs(): number;

  now(): Date {
    return new Date(this.nowMs());
  }
}

/**
 * The machine's time, moved by the milliseconds written in `offsetFile` where one is configured
 * (ALTO_CLOCK_OFFSET_FILE): all processes that name the same file travel together. A file that is missing,
 * or being replaced, leaves the last offset in force.
 */
export class SystemClock extends Clock {
  private offsetMs = 0;
  private readAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly offsetFile?: string,
    private readonly read: (file: string) => string = (file) => readFileSync(file, 'utf8'),
  ) {
    super();
  }

  nowMs(): number {
    const systemMs = Date.now();
    if (this.offsetFile !== undefined) this.readOffset(this.offsetFile);
    return systemMs + this.offsetMs;
  }

  private readOffset(file: string): void {
    const atMs = performance.now();
    if (atMs - this.readAtMs < offsetReadEveryMs) return;
    this.readAtMs = atMs;
    try {
      const offsetMs = Number.parseInt(this.read(file), 10);
      if (Number.isSafeInteger(offsetMs)) this.offsetMs = offsetMs;
    } catch {
      // Not written yet.
    }
  }
}
