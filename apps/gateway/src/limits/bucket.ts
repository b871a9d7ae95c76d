/**
 * One bucket as a gateway sees it. Requests are let through from a small lease that was taken from the shared bucket
 * in advance, so that most of them ask nobody. What is leased counts as used, so all gateways together never let
 * through more than the bucket has; what a gateway leaves unused of a lease is a hundredth of the quota at most. What it
 * gives out by itself, while the shared bucket is slow or away, it takes from there afterwards, up to its part of the quota.
 */
import { intervalUs, quotaOf, type RatePolicy, take, type Taken, toleranceUs } from './gcra.state';

/** The bucket that is shared. */
export type TakeShared = (wanted: number) => Promise<Taken>;

export interface BucketOptions {
  readonly policy: RatePolicy;
  readonly takeShared: TakeShared;
  /** How many gateways share it, while each has to go by itself. */
  readonly sharers: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Admission {
  readonly admitted: boolean;
  /** About what is left for all gateways together. */
  readonly remaining: number;
  readonly retryAfterMs: number;
}

/** A request waits this long for the shared bucket, then the gateway goes by itself for a while. */
export const patienceMs = 500;
const aloneMs = 1_000;
/** A bucket that was empty is not asked again sooner, however many want something from it. */
const emptyPauseMs = 25;

export class Bucket {
  private leased = 0;
  private leaseEndsAtMs = 0;
  private shared = 0;
  private emptyUntilMs = 0;
  private aloneUntilMs = 0;
  private aloneTatUs = 0;
  /** Given out alone, and to be taken from the shared bucket when it is there again. */
  private debt = 0;
  private waiting = 0;
  private leasing: Promise<void> | undefined;
  private readonly batch: number;

  constructor(private readonly options: BucketOptions) {
    this.batch = Math.max(1, Math.floor(quotaOf(options.policy) / 100));
  }

  /** Never rejects: without the shared bucket the gateway gives out its share of it. */
  async admit(): Promise<Admission> {
    for (;;) {
      const settled = this.settle();
      if (settled) return settled;
      this.waiting++;
      try {
        await (this.leasing ?? this.lease());
      } finally {
        this.waiting--;
      }
    }
  }

  /** Decides by what is known here; undefined when the shared bucket has to be asked. */
  private settle(): Admission | undefined {
    const nowMs = this.options.now();
    if (nowMs >= this.leaseEndsAtMs) this.leased = 0;
    if (this.leased > 0) {
      this.leased--;
      const isLow = this.leased < this.batch / 4;
      if (isLow && !this.leasing && nowMs >= this.emptyUntilMs && this.aloneUntilMs === 0) void this.lease();
      return { admitted: true, remaining: this.shared + this.leased, retryAfterMs: 0 };
    }
    if (this.aloneUntilMs > 0) return this.settleAlone(nowMs);
    if (nowMs >= this.emptyUntilMs) return undefined;
    return { admitted: false, remaining: 0, retryAfterMs: this.emptyUntilMs - nowMs };
  }

  /** Nobody waits for a shared bucket that has proven slow or away: it is asked again on the side. */
  private settleAlone(nowMs: number): Admission {
    if (nowMs >= this.aloneUntilMs && !this.leasing) {
      this.aloneUntilMs = nowMs + aloneMs;
      void this.lease();
    }
    const taken = take(this.share(), this.aloneTatUs, Math.floor(nowMs * 1_000), 1);
    this.aloneTatUs = taken.tatUs;
    this.debt = Math.min(this.debt + taken.granted, quotaOf(this.share()));
    return { admitted: taken.granted === 1, remaining: taken.remaining, retryAfterMs: taken.retryAfterUs / 1_000 };
  }

  private lease(): Promise<void> {
    const wanted = Math.max(this.batch, this.waiting) + this.debt;
    const answered = this.options.takeShared(wanted).then((taken) => this.keep(taken, wanted));
    const leasing = withinPatience(answered)
      .catch(() => this.goAlone())
      .finally(() => (this.leasing = undefined));
    this.leasing = leasing;
    return leasing;
  }

  /** Also what comes after the patience ended: it was taken. */
  private keep({ granted, remaining, retryAfterUs }: Taken, wanted: number): void {
    const nowMs = this.options.now();
    const paid = Math.min(this.debt, granted);
    this.debt -= paid;
    this.leased += granted - paid;
    this.leaseEndsAtMs = nowMs + this.options.policy.windowSeconds * 1_000;
    this.shared = remaining;
    this.aloneUntilMs = 0;
    if (granted < wanted) this.emptyUntilMs = nowMs + Math.max(emptyPauseMs, retryAfterUs / 1_000);
  }

  /** Begins with no more than a lease saved up: what else there was is probably spent. */
  private goAlone(): void {
    const nowMs = this.options.now();
    if (this.aloneUntilMs === 0) {
      const share = this.share();
      this.aloneTatUs = Math.floor(nowMs * 1_000) + toleranceUs(share) - intervalUs(share) * this.batch;
    }
    this.aloneUntilMs = nowMs + aloneMs;
  }

  private share(): RatePolicy {
    const { perSecond, windowSeconds } = this.options.policy;
    return { perSecond: perSecond / Math.max(1, this.options.sharers()), windowSeconds };
  }
}

async function withinPatience(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('The shared bucket takes too long')), patienceMs);
  });
  try {
    await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
