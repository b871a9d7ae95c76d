import { Injectable } from '@nestjs/common';

export type LifecyclePhase = 'starting' | 'serving' | 'draining';
type DrainListener = () => void | Promise<void>;

/**
 * starting → serving → draining. A service that drains takes no new work and finishes what it has accepted.
 * Listeners run once, at the begin of the drain, before anything is closed: end long streams and give up leases there.
 */
@Injectable()
export class Lifecycle {
  private current: LifecyclePhase = 'starting';
  private readonly listeners: DrainListener[] = [];

  get phase(): LifecyclePhase {
    return this.current;
  }

  get draining(): boolean {
    return this.current === 'draining';
  }

  onDrain(listener: DrainListener): void {
    this.listeners.push(listener);
  }

  serve(): void {
    if (this.current === 'starting') this.current = 'serving';
  }

  /** A listener that fails does not keep the others from running. @returns their errors */
  async drain(): Promise<unknown[]> {
    if (this.draining) return [];
    this.current = 'draining';
    const results = await Promise.allSettled(this.listeners.map(async (listener) => listener()));
    return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  }
}
