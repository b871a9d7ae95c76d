import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Lifecycle } from './lifecycle';

export interface HealthReport {
  readonly ready: boolean;
  /** What a check found, by its name; reason in words where it is not ready. */
  readonly checks: Readonly<Record<string, { ready: boolean; reason?: string }>>;
}

/** Returns nothing when all is well, else why not, in words. Must be quick and do no I/O: report what is known. */
export type ReadinessCheck = () => string | undefined;

const askAgainMs = 20;

/** Readiness: the sum of the checks that the parts of a service register. Liveness is that the process answers. */
@Injectable()
export class Health {
  private readonly checks = new Map<string, ReadinessCheck>();

  constructor(private readonly lifecycle: Lifecycle) {}

  register(name: string, check: ReadinessCheck): void {
    this.checks.set(name, check);
  }

  /** Resolves once everything is ready for the first time; never, when the service stops before that. */
  async whenReady(): Promise<void> {
    while (!this.report().ready) await delay(askAgainMs, undefined, { ref: false });
  }

  report(): HealthReport {
    const found = Array.from(this.checks, ([name, check]) => [name, check()] as const);
    if (this.lifecycle.phase !== 'serving') found.push(['lifecycle', `the service is ${this.lifecycle.phase}`]);
    const checks = Object.fromEntries(
      found.map(([name, reason]) => [name, reason === undefined ? { ready: true } : { ready: false, reason }]),
    );
    return { ready: found.every(([, reason]) => reason === undefined), checks };
  }
}
