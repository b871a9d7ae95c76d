/** How long a workload that keeps ending waits before it is started again. */

const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;

/** Ready for this long without a break, a workload is well: what failed before no longer counts. */
export const HEALTHY_RESET_MS = 10 * 60_000;

/** 1 s, doubling to 60 s. @param failures in a row, at least 1 */
export function backoffMs(failures: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, 10));
}
