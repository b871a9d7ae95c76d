/**
 * Compares how often two revisions fail. Few requests show little: one failure among ten may be chance. So the
 * difference of the two rates is taken at the cautious end of its confidence interval (R. G. Newcombe, "Interval
 * estimation for the difference between independent proportions", Statistics in Medicine 17, 1998, method 10).
 */

export interface Counts {
  readonly requests: number;
  readonly failures: number;
}

export interface Checks {
  /** Percentage points that the new revision may fail more of its requests than the old one. */
  readonly errorRatePercentMax: number;
  /** Requests to the new revision below which nothing is judged. */
  readonly requestsMin: number;
}

/** Of a canary whose specification says nothing of them. */
export const defaultChecks: Checks = { errorRatePercentMax: 1, requestsMin: 20 };
/** Of an instance in a rollout that is no canary: it fails most of its requests, and the old ones do not. */
export const mostlyFailing: Checks = { errorRatePercentMax: 50, requestsMin: 10 };

export const noRequests: Counts = { requests: 0, failures: 0 };

/** Standard deviations of caution: a rollout is looked at many times, and each look may err. */
const z = 3;

/** Surely worse by more than the checks allow. False without a sample of both: there is nothing to compare. */
export function isWorse(fresh: Counts, old: Counts, { errorRatePercentMax, requestsMin }: Checks): boolean {
  if (fresh.requests < Math.max(1, requestsMin) || old.requests === 0) return false;
  return leastDifference(fresh, old) * 100 > errorRatePercentMax;
}

/** What the new one fails more than the old one, at the least. */
function leastDifference(fresh: Counts, old: Counts): number {
  const [freshRate, oldRate] = [rateOf(fresh), rateOf(old)];
  const below = freshRate - wilson(fresh).lower;
  const above = wilson(old).upper - oldRate;
  return freshRate - oldRate - Math.hypot(below, above);
}

/** Score interval (E. B. Wilson, 1927). */
function wilson(counts: Counts): { lower: number; upper: number } {
  const { requests } = counts;
  const rate = rateOf(counts);
  const scale = 1 + z ** 2 / requests;
  const middle = (rate + z ** 2 / (2 * requests)) / scale;
  const half = (z / scale) * Math.sqrt((rate * (1 - rate)) / requests + z ** 2 / (4 * requests ** 2));
  return { lower: Math.max(0, middle - half), upper: Math.min(1, middle + half) };
}

/** Counters of proxies are read one after the other, so more failures than requests may be seen for a moment. */
function rateOf({ requests, failures }: Counts): number {
  return Math.min(1, failures / requests);
}

export function sumOf(some: Iterable<Counts>): Counts {
  let [requests, failures] = [0, 0];
  for (const counts of some) {
    requests += counts.requests;
    failures += counts.failures;
  }
  return { requests, failures };
}

/** What has been counted since; never less than nothing. */
export function since(counts: Counts, before: Counts): Counts {
  return {
    requests: Math.max(0, counts.requests - before.requests),
    failures: Math.max(0, counts.failures - before.failures),
  };
}

/** `8.3 % of 240 requests`. */
export function failedInWords(counts: Counts): string {
  return `${percentInWords(counts)} of ${counts.requests} requests`;
}

/** `0.1 %`; one decimal, and never 0 where something has failed. */
export function percentInWords(counts: Counts): string {
  const percent = counts.requests === 0 ? 0 : rateOf(counts) * 100;
  if (percent > 0 && percent < 0.1) return 'less than 0.1 %';
  return `${Number(percent.toFixed(1))} %`;
}
