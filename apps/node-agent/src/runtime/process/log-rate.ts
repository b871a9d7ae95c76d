/**
 * Holds what a run writes to its log to a rate. The run appends to the file itself and never waits; what was too much
 * is given back to the file system as a hole soon afterwards, and a note says how much that was. Offsets stay true.
 */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** An app that starts, or fails, may say much at once. */
const BURST_SECONDS = 10;
const BLOCK = 4_096;
/** What it said last stays each time: of all that was too much, people want to read that. */
const NEWEST_BYTES = 16_384;

interface Meter {
  /** What it may still write. */
  allowance: number;
  size: number;
  atMs: number;
}

export interface Dropped {
  id: string;
  bytes: number;
}

export class LogRate {
  private readonly meters = new Map<string, Meter>();

  /** A run begins to write to a log of this size. What an agent before has started is metered from when it is first seen. */
  begin(id: string, bytesPerSecond: number, size: number, nowMs: number): void {
    this.meters.set(id, { allowance: bytesPerSecond * BURST_SECONDS, size, atMs: nowMs });
  }

  /** @param nowMs of a clock that only goes forward @returns what was taken out of the log, if anything was */
  async hold(id: string, path: string, bytesPerSecond: number, nowMs: number): Promise<Dropped | undefined> {
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    const burst = bytesPerSecond * BURST_SECONDS;
    const meter = this.meters.get(id) ?? { allowance: burst, size, atMs: nowMs };
    this.meters.set(id, meter);
    const allowance = Math.min(burst, meter.allowance + ((nowMs - meter.atMs) * bytesPerSecond) / 1_000);
    const written = Math.max(0, size - meter.size);
    const hole = holeOf(meter.size + allowance, size - NEWEST_BYTES);
    Object.assign(meter, { allowance: Math.max(0, allowance - written), size, atMs: nowMs });
    if (written <= allowance || hole.length === 0) return undefined;
    const range = ['--offset', String(hole.from), '--length', String(hole.length)];
    const done = await execute('fallocate', ['--punch-hole', ...range, path]).then(
      () => true,
      () => false,
    );
    return done ? { id, bytes: hole.length } : undefined;
  }

  /** Forgets all others. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of this.meters.keys()) if (!ids.has(id)) this.meters.delete(id);
  }
}

/** Whole blocks between two offsets: parts of one would stay on the disk. */
function holeOf(from: number, to: number): { from: number; length: number } {
  const first = Math.ceil(from / BLOCK) * BLOCK;
  return { from: first, length: Math.max(0, Math.floor(to / BLOCK) * BLOCK - first) };
}
