/** Notices that the clock was set, by another one that goes on evenly. */

/** What the clock should have shown, and what it did. */
export interface ClockSetting {
  /** Unix milliseconds. */
  readonly expected: number;
  readonly shown: number;
}

/** What is less is not worth a record: no deadline is that short. */
const noticedFromMs = 2_000;
/** Of a process that never gets to record any. */
const unrecordedMax = 100;

export class ClockWatch {
  private last: { readonly clockMs: number; readonly evenMs: number } | undefined;
  private noticed: readonly ClockSetting[] = [];

  /** @param evenMs on a clock that cannot be set, read at the same moment */
  look(clockMs: number, evenMs: number): void {
    const { last } = this;
    this.last = { clockMs, evenMs };
    if (last === undefined) return;
    const expected = Math.round(last.clockMs + evenMs - last.evenMs);
    if (Math.abs(clockMs - expected) < noticedFromMs) return;
    this.noticed = [...this.noticed, { expected, shown: clockMs }].slice(-unrecordedMax);
  }

  /** Oldest first. */
  get unrecorded(): readonly ClockSetting[] {
    return this.noticed;
  }

  recorded(settings: readonly ClockSetting[]): void {
    this.noticed = this.noticed.filter((setting) => !settings.includes(setting));
  }
}
