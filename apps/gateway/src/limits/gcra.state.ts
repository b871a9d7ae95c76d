/**
 * The generic cell rate algorithm: a bucket is one number, the theoretical arrival time (TAT), at which all that was
 * taken from it would have been given out at an even pace. Pure. All times in whole microseconds.
 */

export interface RatePolicy {
  /** Requests that are let through at an even pace, 100,000 at most: beyond, whole microseconds are too coarse. */
  readonly perSecond: number;
  /** What was saved up in this time may be spent at once. */
  readonly windowSeconds: number;
}

export interface Taken {
  readonly granted: number;
  readonly tatUs: number;
  /** What could be taken besides. */
  readonly remaining: number;
  /** Until there is one more; 0 when there is one now. */
  readonly retryAfterUs: number;
}

/** Time between two requests at an even pace. */
export function intervalUs({ perSecond }: RatePolicy): number {
  return Math.round(1_000_000 / perSecond);
}

/** How far ahead of now the theoretical arrival time may get. */
export function toleranceUs(policy: RatePolicy): number {
  return intervalUs(policy) * quotaOf(policy);
}

/** Requests that an untouched bucket lets through at once. */
export function quotaOf({ perSecond, windowSeconds }: RatePolicy): number {
  return Math.max(1, Math.floor(perSecond * windowSeconds));
}

/** Takes as many as there are, at most `wanted`. @param tatUs of a bucket that was never used: 0 */
export function take(policy: RatePolicy, tatUs: number, nowUs: number, wanted: number): Taken {
  const from = Math.max(tatUs, nowUs);
  const granted = Math.max(0, Math.min(wanted, Math.floor((nowUs + toleranceUs(policy) - from) / intervalUs(policy))));
  return { granted, ...whatIsLeft(policy, from + granted * intervalUs(policy), nowUs) };
}

/** What a bucket holds, without taking from it. */
export function whatIsLeft(policy: RatePolicy, tatUs: number, nowUs: number): Omit<Taken, 'granted'> {
  const left = nowUs + toleranceUs(policy) - Math.max(tatUs, nowUs);
  const remaining = Math.max(0, Math.floor(left / intervalUs(policy)));
  return { tatUs, remaining, retryAfterUs: remaining > 0 ? 0 : intervalUs(policy) - left };
}
