/** Which logs of instances that are gone have been kept long enough. Pure. */

const KEPT_MS = 7 * 24 * 3_600_000;
const COUNT_MAX = 1_000;

export interface EndedLog {
  id: string;
  endedAtMs: number;
  bytes: number;
}

/** The newest are kept, up to a time, a number, and so many bytes in all. */
export function outdatedLogs(logs: readonly EndedLog[], nowMs: number, bytesMax: number): string[] {
  const newestFirst = [...logs].sort((a, b) => b.endedAtMs - a.endedAtMs);
  let total = 0;
  const isKept = ({ endedAtMs, bytes }: EndedLog, place: number) => {
    total += bytes;
    return place < COUNT_MAX && nowMs - endedAtMs <= KEPT_MS && total <= bytesMax;
  };
  return newestFirst.filter((log, place) => !isKept(log, place)).map(({ id }) => id);
}
