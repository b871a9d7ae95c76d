import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { type Lease, Leases, Log } from '@alto/platform';
import { BucketsStore } from './buckets.store';

const sweepEveryMs = 60_000;
const batch = 1_000;

/** Forgets buckets that nobody uses any more; one gateway at a time does. */
@Injectable()
export class BucketsReconciler implements OnApplicationBootstrap {
  constructor(
    private readonly leases: Leases,
    private readonly store: BucketsStore,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.leases.hold('gateway.rate-limits', (lease) => this.run(lease));
  }

  private async run({ signal }: Lease): Promise<void> {
    while (!signal.aborted) {
      try {
        while (!signal.aborted && (await this.store.deleteFull(batch)) === batch);
      } catch (error) {
        this.log.warn('Unused rate limit buckets could not be removed; trying again later', { error });
      }
      await delay(sweepEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
