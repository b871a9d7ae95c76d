import type { ServerResponse } from 'node:http';
import { Inject, Injectable } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import { CONFIG, Metrics, ServiceDirectory } from '@alto/platform';
import { LRUCache } from 'lru-cache';
import { Counter } from 'prom-client';
import type { GatewayConfig } from '../config';
import { limitedTogether, localAddress } from '../front/client-address';
import type { Principal } from '../identity/principal';
import { Bucket, patienceMs } from './bucket';
import { BucketsStore } from './buckets.store';
import type { RatePolicy, Taken } from './gcra.state';
import { type AppliedLimit, rateLimitFields } from './rate-limit-fields';

type LimitName = 'address' | 'key' | 'project';

/** A bucket that falls out of memory loses what was leased for it, no more. */
const bucketsMax = 50_000;
const awayMs = 1_000;

/**
 * How often who may ask: each address before anything else is looked at, then each key and each project. The buckets
 * are shared by all gateways.
 */
@Injectable()
export class RateLimits {
  private readonly buckets = new LRUCache<string, Bucket>({ max: bucketsMax });
  /** What a request came under so far, to tell it in the answer. */
  private readonly applied = new WeakMap<ServerResponse, AppliedLimit[]>();
  private readonly refused: Counter<'limit'>;
  private awayUntilMs = 0;

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly store: BucketsStore,
    private readonly directory: ServiceDirectory,
    metrics: Metrics,
  ) {
    this.refused = new Counter({
      name: 'alto_gateway_rate_limited_total',
      help: 'Requests refused because there were too many, by what is limited',
      labelNames: ['limit'] as const,
      registers: [metrics.registry],
    });
  }

  /** What comes over the unix socket is of this machine's own user and not limited. @throws AltoError rate_limited */
  async admitAddress(address: string, response: ServerResponse): Promise<void> {
    if (address === localAddress) return;
    const perSecond = this.config.ALTO_RATE_LIMIT_ADDRESS_PER_SECOND;
    await this.admit('address', limitedTogether(address), perSecond, response);
  }

  /** Operators are of no project: what a project's users do never keeps them out. @throws AltoError rate_limited */
  async admitPrincipal({ keyId, project }: Principal, response: ServerResponse): Promise<void> {
    const { config } = this;
    if (project === null) return this.admit('key', keyId, config.ALTO_RATE_LIMIT_OPERATOR_PER_SECOND, response);
    await this.admit('key', keyId, config.ALTO_RATE_LIMIT_KEY_PER_SECOND, response);
    await this.admit('project', project.id, config.ALTO_RATE_LIMIT_PROJECT_PER_SECOND, response);
  }

  private async admit(name: LimitName, whose: string, perSecond: number, response: ServerResponse): Promise<void> {
    const policy = { perSecond, windowSeconds: this.config.ALTO_RATE_LIMIT_WINDOW_SECONDS };
    const { admitted, remaining, retryAfterMs } = await this.bucket(`${name}:${whose}`, policy).admit();
    this.tell(response, { name, policy, remaining });
    if (admitted) return;
    this.refused.inc({ limit: name });
    const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterMs / 1_000));
    throw new AltoError('rate_limited', {
      message: `Too many requests: the ${name} may send ${perSecond} a second on average.`,
      nextStep: `Try again in ${retryAfterSeconds} s; the header RateLimit says what is left.`,
      details: { limit: name, perSecond, retryAfterSeconds },
    });
  }

  private bucket(name: string, policy: RatePolicy): Bucket {
    const known = this.buckets.get(name);
    if (known) return known;
    const bucket = new Bucket({
      policy,
      takeShared: (wanted) => this.takeShared(name, policy, wanted),
      sharers: () => this.directory.instances('gateway').length,
      now: () => performance.now(),
    });
    this.buckets.set(name, bucket);
    return bucket;
  }

  /** What has just proven slow or away for one bucket is not asked, and waited for, for each of the others. */
  private async takeShared(name: string, policy: RatePolicy, wanted: number): Promise<Taken> {
    if (performance.now() < this.awayUntilMs) throw new Error('The shared buckets have just been away');
    const giveUp = () => (this.awayUntilMs = performance.now() + awayMs);
    const tooSlow = setTimeout(giveUp, patienceMs);
    try {
      return await this.store.take(name, policy, wanted);
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      clearTimeout(tooSlow);
    }
  }

  private tell(response: ServerResponse, limit: AppliedLimit): void {
    const applied = [...(this.applied.get(response) ?? []), limit];
    this.applied.set(response, applied);
    for (const [name, value] of Object.entries(rateLimitFields(applied))) response.setHeader(name, value);
  }
}
