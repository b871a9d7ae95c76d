import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Clock, CONFIG, Log } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { KeysStore } from './keys.store';
import { type AccountClaims, SubscriberAccount } from './subscriber-account';

/** Of another gateway that wrote at the same moment what it had read before, one more look is enough. */
const looksMax = 4;
const pauseMinMs = 100;
/** NATS's clock may be behind: until then credentials whose time is over here are held to be good. */
const clockToleranceMs = 300_000;

/**
 * Has NATS refuse the credentials that were revoked. What stands in the database is brought into the account of
 * subscribers, by whichever gateway sees first that it is not there: each looks when something was revoked through it,
 * when NATS is (again) there, and every moment besides. So a gateway that was killed before it could tell NATS is no
 * loss, nor is a NATS that lost what it was told. NATS keeps it on its disk, and so over a restart.
 *
 * Gateways may write at the same time: what each writes is all that it knows, and after writing it looks again, so the
 * last of them has seen what every other had committed.
 */
@Injectable()
export class RevocationsReconciler implements OnApplicationBootstrap, OnModuleDestroy {
  /** Public nkeys of revoked users, and the Unix second in which the last of their credentials ends. */
  private readonly revoked = new Map<string, number>();
  private current: Promise<string | undefined> = Promise.resolve(undefined);
  private following: Promise<string | undefined> | undefined;
  private reason: string | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly store: KeysStore,
    private readonly account: SubscriberAccount,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.account.isKept) return;
    this.account.onConnected(() => void this.enforce());
    const everyMs = Math.max(pauseMinMs, this.config.ALTO_KEY_CACHE_MS);
    this.timer = setInterval(() => void this.enforce(), everyMs).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  /**
   * Whoever asks while a look is under way shares the one after it, which sees what was committed before.
   * @returns why NATS may still take revoked credentials, in words; undefined when it takes none
   */
  enforce(): Promise<string | undefined> {
    this.following ??= this.current.then(() => {
      this.following = undefined;
      this.current = this.look();
      return this.current;
    });
    return this.following;
  }

  private async look(): Promise<string | undefined> {
    const before = this.reason;
    try {
      await this.converge();
      this.reason = undefined;
    } catch (error) {
      this.reason = (error as Error).message;
      if (before !== this.reason) this.log.warn('NATS cannot be told of revoked credentials; trying on', { error });
    }
    if (before !== undefined && this.reason === undefined) this.log.info('NATS refuses all revoked credentials again');
    return this.reason;
  }

  private async converge(): Promise<void> {
    for (let looks = 0; looks < looksMax; looks++) {
      await this.learn();
      const claims = await this.account.read();
      if (refusesAll(claims, this.revoked)) return;
      await this.account.write(claims, Object.fromEntries(this.revoked));
    }
    throw new Error('NATS does not keep what it is told.');
  }

  /** While the database is away what was known before counts: nothing that was revoked ever becomes good again. */
  private async learn(): Promise<void> {
    const since = new Date(this.clock.nowMs() - clockToleranceMs);
    for (const [user, until] of this.revoked) if (until * 1_000 < since.getTime()) this.revoked.delete(user);
    try {
      for (const { user, expiresAt } of await this.store.revokedSubscribers(since))
        this.revoked.set(user, Math.ceil(expiresAt.getTime() / 1_000));
    } catch (error) {
      this.log.debug('Revoked credentials could not be read', { error });
    }
  }
}

function refusesAll({ nats }: AccountClaims, revoked: ReadonlyMap<string, number>): boolean {
  const refused = nats.revocations ?? {};
  return [...revoked].every(([user, until]) => (refused[user] ?? 0) >= until);
}
