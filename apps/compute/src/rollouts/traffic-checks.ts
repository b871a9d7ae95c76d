/** Whether a new revision answers worse than the good one, whatever its readiness path says. Pure. */
import {
  type Checks,
  type Counts,
  defaultChecks,
  failedInWords,
  isWorse,
  mostlyFailing,
  percentInWords,
  since,
  sumOf,
} from './error-rate';

/** How instances have answered since the rollout began, also those that are gone. */
export interface Traffic {
  /** Instances of the new revision, by id. */
  readonly target: ReadonlyMap<string, Counts>;
  /** All of the good revision. */
  readonly good: Counts;
  /** Proxies send requests to the good revision, so that what it is asked will be known though it is not yet. */
  readonly isGoodAsked: boolean;
}

export interface Judged {
  readonly policy: { readonly strategy: { readonly kind: string; readonly checks?: Checks | undefined } };
  /** Null where there is nothing to compare with. */
  readonly goodNumber: number | null;
  /** What had been counted when the step began. */
  readonly before: { readonly target: Counts; readonly good: Counts };
}

export function failureByTraffic(
  rollout: Judged,
  traffic: Traffic,
): { readonly reason: string; readonly instance: string | null } | null {
  if (rollout.goodNumber === null) return null;
  return isBesideGood(rollout, traffic) ? ofCanary(rollout, traffic) : ofInstance(rollout, traffic);
}

/** A canary; and the good revision takes the other requests, or did within the step. */
function isBesideGood({ policy, before }: Judged, { good, isGoodAsked }: Traffic): boolean {
  return policy.strategy.kind === 'canary' && (isGoodAsked || since(good, before.good).requests > 0);
}

/** All new instances together against the old ones, each since the step began. */
function ofCanary({ policy, before, goodNumber }: Judged, { target, good }: Traffic) {
  const [fresh, old] = [since(sumOf(target.values()), before.target), since(good, before.good)];
  if (!isWorse(fresh, old, policy.strategy.checks ?? defaultChecks)) return null;
  const [worst] = [...target].sort(([, a], [, b]) => b.failures - a.failures);
  return { instance: worst?.[0] ?? null, reason: comparison(`${failedInWords(fresh)} failed`, old, goodNumber) };
}

/**
 * One that fails most of what it is asked, which the old ones do not, however good the others of its revision are. Where
 * the old ones are not asked, for none runs any more, the good revision is taken to answer as well as when it ran.
 */
function ofInstance({ goodNumber }: Judged, { target, good, isGoodAsked }: Traffic) {
  const isKnown = isGoodAsked || good.requests > 0;
  const old = ({ requests }: Counts): Counts => (isKnown ? good : { requests, failures: 0 });
  const failing = [...target].find(([, counts]) => isWorse(counts, old(counts), mostlyFailing));
  if (failing === undefined) return null;
  const [instance, counts] = failing;
  return { instance, reason: comparison(`${failedInWords(counts)} to ${instance} failed`, good, goodNumber) };
}

/** `8.3 % of 240 requests failed, 0.1 % on revision 3`. */
function comparison(fresh: string, old: Counts, goodNumber: number | null): string {
  return old.requests === 0
    ? `${fresh}; revision ${goodNumber} got none meanwhile`
    : `${fresh}, ${percentInWords(old)} on revision ${goodNumber}`;
}
