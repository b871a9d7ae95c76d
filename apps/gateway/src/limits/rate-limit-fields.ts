/** `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): structured fields, pure. */
import { intervalUs, quotaOf, type RatePolicy } from './gcra.state';

export interface AppliedLimit {
  /** What is limited: `address`, `key` or `project`. */
  readonly name: string;
  readonly policy: RatePolicy;
  readonly remaining: number;
}

/** One item for each limit that a request came under. */
export function rateLimitFields(limits: readonly AppliedLimit[]): Record<string, string> {
  return {
    'ratelimit-policy': limits.map(policyItem).join(', '),
    ratelimit: limits.map(serviceLimitItem).join(', '),
  };
}

/** `q`: the quota; `w`: the seconds in which it fills up. */
function policyItem({ name, policy }: AppliedLimit): string {
  return `"${name}";q=${quotaOf(policy)};w=${policy.windowSeconds}`;
}

/** `r`: what is left; `t`: the seconds until all of the quota is there again. */
function serviceLimitItem({ name, policy, remaining }: AppliedLimit): string {
  const left = Math.max(0, Math.min(remaining, quotaOf(policy)));
  const fullInSeconds = Math.ceil(((quotaOf(policy) - left) * intervalUs(policy)) / 1_000_000);
  return `"${name}";r=${left};t=${fullInSeconds}`;
}
