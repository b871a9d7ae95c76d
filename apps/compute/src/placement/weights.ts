/** Shares of requests between two revisions of an app, as weights that proxies understand. */

/** Of a proxy; what is not given is 100. */
const weightMax = 256;

export interface Weights {
  /** Of each endpoint of the new revision; null leaves it out. */
  readonly target: number | null;
  /** Of each endpoint of the others. */
  readonly other: number | null;
}

const even: Weights = { target: null, other: null };

/**
 * Weights by which the new revision's endpoints together get that share of the requests.
 * @param share percent; null for no matter
 */
export function weightsFor(share: number | null, targets: number, others: number): Weights {
  if (share === null || targets === 0 || others === 0) return even;
  if (share <= 0) return { target: 0, other: null };
  if (share >= 100) return { target: null, other: 0 };
  const ratio = (share * others) / ((100 - share) * targets);
  if (ratio === 1) return even;
  return ratio > 1
    ? { target: weightMax, other: Math.max(1, Math.round(weightMax / ratio)) }
    : { target: Math.max(1, Math.round(weightMax * ratio)), other: weightMax };
}
