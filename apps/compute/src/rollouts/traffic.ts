/** What a proxy's counters add up to within a rollout. Pure. */
import type { Counts } from './error-rate';

export interface Tally extends Counts {
  /** What the proxy said last. */
  readonly reportedRequests: number;
  readonly reportedFailures: number;
}

/**
 * @param before null for the first report within the rollout
 * @param isNew the instance was made for the rollout, so that all its requests belong to it
 */
export function tally(before: Tally | null, { requests, failures }: Counts, isNew: boolean): Tally {
  const reported = { reportedRequests: requests, reportedFailures: failures };
  if (before === null) return isNew ? { requests, failures, ...reported } : { requests: 0, failures: 0, ...reported };
  // A counter that is lower than before has begun anew.
  const hasRestarted = requests < before.reportedRequests || failures < before.reportedFailures;
  const [knownRequests, knownFailures] = hasRestarted ? [0, 0] : [before.reportedRequests, before.reportedFailures];
  return {
    requests: before.requests + requests - knownRequests,
    failures: before.failures + failures - knownFailures,
    ...reported,
  };
}
