import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { Clock, type Lease, Leases, Log } from '@alto/platform';
import { keptMs } from './idempotency.service';
import { IdempotentRequestsStore } from './idempotent-requests.store';

const sweepEveryMs = 60_000;
const batch = 500;

/** Forgets requests whose time is over; one gateway at a time does. */
@Injectable()
export class IdempotencySweeper implements OnApplicationBootstrap {
  constructor(
    private readonly leases: Leases,
    private readonly store: IdempotentRequestsStore,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.leases.hold('gateway.idempotency', (lease) => this.sweep(lease));
  }

  private async sweep({ signal }: Lease): Promise<void> {
    while (!signal.aborted) {
      const before = new Date(this.clock.nowMs() - keptMs);
      let deleted = 0;
      let last = batch;
      while (last === batch && !signal.aborted) deleted += last = await this.store.deleteBefore(before, batch);
      if (deleted > 0) this.log.debug('Forgot answers of requests done once', { deleted });
      await delay(sweepEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
