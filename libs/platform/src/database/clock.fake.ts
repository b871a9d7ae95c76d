import { Clock } from './clock';

/** A clock that stands still until it is told to move. */
export class FakeClock extends Clock {
  constructor(private atMs: number = Date.UTC(2030, 0, 1)) {
    super();
  }

  nowMs(): number {
    return this.atMs;
  }

  advance(ms: number): void {
    this.atMs += ms;
  }

  set(atMs: number): void {
    this.atMs = atMs;
  }
}
