/**
 * How the runs of a workload are replaced by runs of another release (or of the same, in a restart), slot by slot.
 * Pure; what it has reached is on the disk before it is acted on, so an agent that is killed goes on where it was.
 *
 *                   spare slot                 the new run is ready
 *   waiting: [0] ───────────────▶ start in 1 ───────────────────────▶ draining: 0 ───▶ done
 *                                     │                          pointer and slots switched
 *                                     └─ it does not get ready: its run ends, the old one stays
 *
 * Promises: the old run is told to stop only after the new one was ready; the pointer names a release of which a run
 * was ready; at most one slot more than usual is in use.
 */

export interface Replacement {
  /** Releases; null for what Alto does not build. */
  from: string | null;
  to: string | null;
  /** Slots whose runs are still to be replaced, in this order. */
  waiting: number[];
  /** Slot whose run has been replaced and must go. */
  draining: number | null;
}

export type ReplacementStep =
  { kind: 'start'; slot: number; replaces: number } | { kind: 'drain'; slot: number } | { kind: 'done' };

/** Begins, or goes on with what was begun towards the same release. */
export function beginReplacement(
  wish: { from: string | null; to: string | null },
  inUse: readonly number[],
  begun: Replacement | undefined,
): Replacement {
  if (begun && begun.to === wish.to) return begun;
  return { ...wish, waiting: [...inUse], draining: begun?.draining ?? null };
}

/** @throws RangeError where no slot is spare */
export function nextStep(
  { waiting, draining }: Replacement,
  inUse: readonly number[],
  slotCount: number,
): ReplacementStep {
  if (draining !== null) return { kind: 'drain', slot: draining };
  const replaces = waiting.find((slot) => inUse.includes(slot));
  if (replaces === undefined) return { kind: 'done' };
  const slot = spareSlot(inUse, slotCount);
  if (slot === undefined) throw new RangeError('No slot is spare.');
  return { kind: 'start', slot, replaces };
}

/** The run in the place of `replaced` is ready. */
export function afterSwitch(replacement: Replacement, replaced: number): Replacement {
  return { ...replacement, waiting: replacement.waiting.filter((slot) => slot !== replaced), draining: replaced };
}

export function afterDrain(replacement: Replacement): Replacement {
  return { ...replacement, draining: null };
}

export function spareSlot(inUse: readonly number[], slotCount: number): number | undefined {
  return Array.from({ length: slotCount }, (_, slot) => slot).find((slot) => !inUse.includes(slot));
}
