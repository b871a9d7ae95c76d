/**
 * Work that one instance of a service does at a time (reconcilers, schedulers, relays). A dead or frozen holder is
 * replaced within 15 s; what it writes when it wakes up is refused, see lease.store.ts.
 */
import { AltoError } from '@alto/contracts';
import type { EntityManager } from 'typeorm';
import type { Log } from '../service/log';
import type { Database } from './database';
import { fenceWrite, leaseState, releaseLease, renewLease, staleWriter, takeLease } from './lease.store';
import { backoffMs, pause } from './pause';
import { queryIn } from './rows';

export interface LeaseTimes {
  /** A holder that has not renewed for this long may be replaced. */
  readonly ttlMs: number;
  readonly renewEveryMs: number;
  /** How often others look whether the lease has become free. */
  readonly lookEveryMs: number;
}

export const leaseDefaults: LeaseTimes = { ttlMs: 10_000, renewEveryMs: 3_000, lookEveryMs: 1_000 };

/** A lease that is held. */
export interface Lease {
  readonly name: string;
  /** The fencing number: grows with every take-over. Pass it to whatever must refuse an older holder. */
  readonly token: number;
  /** Aborts when the lease is lost or the service stops: end the work then. */
  readonly signal: AbortSignal;
  /**
   * A transaction that commits only while no one has taken over.
   * @throws AltoError stale_writer when someone has
   */
  transaction<T>(body: (transaction: EntityManager) => Promise<T>): Promise<T>;
}

/** Runs while the lease is held; it is run again, after the lease was taken again, when it ends or throws. */
export type LeaseBody = (lease: Lease) => Promise<void>;

export interface LeaseHolding {
  readonly held: boolean;
  /** Ends the work, gives the lease back, and resolves when both are done. */
  stop(): Promise<void>;
}

export class Leases {
  private readonly holdings = new Set<Holding>();

  constructor(
    private readonly database: Database,
    /** Unique name of this process, kept with the token for people to see. */
    private readonly holder: string,
    private readonly log: Log,
    private readonly times: LeaseTimes = leaseDefaults,
  ) {}

  /** Competes for the lease from now on until `stop`, and runs the body whenever it is held. */
  hold(name: string, body: LeaseBody): LeaseHolding {
    const holding = new Holding(name, body, this.database, this.holder, this.log, this.times);
    this.holdings.add(holding);
    return holding;
  }

  /** Each lease that this process competes for, and whether it holds it. */
  holdingsByName(): ReadonlyMap<string, boolean> {
    return new Map([...this.holdings].map(({ name, held }) => [name, held]));
  }

  /** Stops all holdings. */
  async stop(): Promise<void> {
    await Promise.all([...this.holdings].map((holding) => holding.stop()));
  }
}

const bodyBackoffFirstMs = 200;
const bodyBackoffMaxMs = 10_000;

class Holding implements LeaseHolding {
  private readonly stopping = new AbortController();
  private readonly running: Promise<void>;
  private current: HeldLease | undefined;

  constructor(
    readonly name: string,
    private readonly body: LeaseBody,
    private readonly database: Database,
    private readonly holder: string,
    private readonly log: Log,
    private readonly times: LeaseTimes,
  ) {
    this.running = this.run();
  }

  get held(): boolean {
    return this.current !== undefined && !this.current.signal.aborted;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    for (let failures = 0; !signal.aborted;) {
      const lease = await this.acquire();
      if (lease === undefined) break;
      const heldWell = await this.work(lease);
      failures = heldWell ? 0 : failures + 1;
      // At least a look, so that others get their turn; longer when the work keeps failing.
      const waitMs = heldWell ? this.times.lookEveryMs : backoffMs(failures, bodyBackoffFirstMs, bodyBackoffMaxMs);
      await pause(waitMs, signal);
    }
  }

  /** Waits until the lease is ours. @returns undefined when stopping */
  private async acquire(): Promise<HeldLease | undefined> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.database.whenReady(signal);
      if (signal.aborted) return undefined;
      const askedAtMs = performance.now();
      const fencing = await this.tryTake();
      if (fencing !== undefined) {
        const lease = new HeldLease(this.name, fencing, this.database, this.times, askedAtMs, signal);
        this.log.info('Took the lease', { lease: this.name, fencing });
        return lease;
      }
      await pause(this.times.lookEveryMs * (0.75 + Math.random() / 2), signal);
    }
    return undefined;
  }

  private async tryTake(): Promise<number | undefined> {
    const { ttlMs } = this.times;
    try {
      const { remainingMs } = await leaseState(this.database.control, this.name);
      if (remainingMs > 0) return undefined;
      return await this.database.transaction((transaction) =>
        takeLease(queryIn(transaction), this.name, this.holder, ttlMs),
      );
    } catch (error) {
      // An outage of the database is reported by the database itself.
      if (!(error instanceof AltoError))
        this.log.warn('Could not take the lease; trying on', { lease: this.name, error });
      return undefined;
    }
  }

  /** @returns false when the body threw while the lease was ours */
  private async work(lease: HeldLease): Promise<boolean> {
    this.current = lease;
    const renewing = lease.keepRenewed();
    try {
      await this.body(lease);
      return true;
    } catch (error) {
      if (lease.signal.aborted) return true;
      this.log.error('Work under a lease failed; it is started again', { lease: this.name, error });
      return false;
    } finally {
      if (lease.lost) this.log.warn('Lost the lease', { lease: this.name, fencing: lease.token });
      lease.end();
      await renewing;
      this.current = undefined;
      await lease.release();
    }
  }
}

class HeldLease implements Lease {
  readonly signal: AbortSignal;
  /** Someone has, or may have, taken over. */
  lost = false;
  private readonly ending = new AbortController();

  constructor(
    readonly name: string,
    readonly token: number,
    private readonly database: Database,
    private readonly times: LeaseTimes,
    /** On the process's own monotonic clock, before the database counted: the lease lasts at least `ttlMs` from here. */
    private renewedAtMs: number,
    owner: AbortSignal,
  ) {
    this.signal = AbortSignal.any([owner, this.ending.signal]);
  }

  async transaction<T>(body: (transaction: EntityManager) => Promise<T>): Promise<T> {
    if (this.lost) throw staleWriter(this.name, this.token);
    const idleMs = Math.ceil(this.times.ttlMs / 2);
    try {
      return await this.database.transaction(async (transaction) => {
        await fenceWrite(queryIn(transaction), this.name, this.token, idleMs);
        return body(transaction);
      });
    } catch (error) {
      if (error instanceof AltoError && error.code === 'stale_writer') this.lose();
      throw error;
    }
  }

  /** Renews until the work has ended; an unreachable database costs the lease only when its time is over. */
  async keepRenewed(): Promise<void> {
    let waitMs = this.times.renewEveryMs;
    while (!this.ending.signal.aborted) {
      await pause(Math.min(waitMs, this.remainingMs()), this.ending.signal);
      if (this.ending.signal.aborted) return;
      waitMs = (await this.renew()) ? this.times.renewEveryMs : this.times.renewEveryMs / 10;
      if (this.remainingMs() <= 0) this.lose();
    }
  }

  /** Tells the work to end and the renewal to stop. */
  end(): void {
    this.ending.abort();
  }

  async release(): Promise<void> {
    if (this.lost) return;
    // When the database is away the lease simply runs out.
    await releaseLease(this.database.control, this.name, this.token).catch(() => {});
  }

  private remainingMs(): number {
    return Math.max(0, this.renewedAtMs + this.times.ttlMs - performance.now());
  }

  private async renew(): Promise<boolean> {
    const askedAtMs = performance.now();
    try {
      const ours = await renewLease(this.database.control, this.name, this.token, this.times.ttlMs);
      if (ours) this.renewedAtMs = askedAtMs;
      else this.lose();
      return ours;
    } catch {
      return false;
    }
  }

  private lose(): void {
    this.lost = true;
    this.ending.abort();
  }
}
