/**
 * How long agents and proxies have been silent, told from counters of what they sent and not from clocks: the clocks
 * of machines need not agree, and a report may be recorded by another instance of compute than the one that judges.
 *
 * Only silence that we could have heard counts. A watch starts with none, so that whoever takes over the reconciler's
 * lease gives everyone a full term; and the time during which we ourselves stood still or were deaf is left out.
 */

/** Looks further apart than this mean that we stood still, for what happened between them we may not have heard. */
export const stallMs = 3_000;

interface Heard {
  heartbeats: number;
  /** On the caller's monotonic clock. */
  atMs: number;
}

export class SilenceWatch {
  private readonly heard = new Map<string, Heard>();
  private lookedAtMs: number | undefined;

  /**
   * @param heartbeats counter of each sender, by id; senders that are left out are forgotten
   * @param atMs monotonic time
   * @param deaf nothing could be heard since the look before
   * @returns silence of each sender in milliseconds
   */
  look(heartbeats: ReadonlyMap<string, number>, atMs: number, deaf = false): ReadonlyMap<string, number> {
    const sinceLast = atMs - (this.lookedAtMs ?? atMs);
    const excused = deaf || sinceLast > stallMs ? sinceLast : 0;
    this.lookedAtMs = atMs;
    for (const id of this.heard.keys()) if (!heartbeats.has(id)) this.heard.delete(id);
    const silence = new Map<string, number>();
    for (const [id, count] of heartbeats) silence.set(id, atMs - this.hear(id, count, atMs, excused));
    return silence;
  }

  private hear(id: string, heartbeats: number, atMs: number, excusedMs: number): number {
    const before = this.heard.get(id);
    if (before === undefined || before.heartbeats !== heartbeats) {
      this.heard.set(id, { heartbeats, atMs });
      return atMs;
    }
    before.atMs = Math.min(atMs, before.atMs + excusedMs);
    return before.atMs;
  }
}
