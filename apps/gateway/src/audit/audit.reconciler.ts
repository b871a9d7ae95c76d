import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Clock, CONFIG, type Lease, Leases, Log } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { AuditStore } from './audit.store';

const dayMs = 86_400_000;
const batch = 1_000;

/** Removes entries whose time is over; one gateway at a time does. Nothing else can remove any. */
@Injectable()
export class AuditReconciler implements OnApplicationBootstrap {
  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly leases: Leases,
    private readonly store: AuditStore,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.leases.hold('gateway.audit', (lease) => this.run(lease));
  }

  private async run({ signal }: Lease): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.sweep(signal);
      } catch (error) {
        this.log.warn('Old entries of the audit log could not be removed; trying again later', { error });
      }
      await delay(this.config.ALTO_AUDIT_SWEEP_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  private async sweep(signal: AbortSignal): Promise<void> {
    const before = new Date(this.clock.nowMs() - this.config.ALTO_AUDIT_RETENTION_DAYS * dayMs);
    let removed = 0;
    for (let last = batch; last === batch && !signal.aborted; removed += last)
      last = await this.store.deleteBefore(before, batch);
    if (removed > 0) this.log.info('Removed old entries of the audit log', { removed, before });
  }
}
