import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Clock, Lifecycle, Log } from '@alto/platform';
import { KeysService } from '../keys/keys.service';

const writeEveryMs = 60_000;
const flushEveryMs = 5_000;
const keysMax = 10_000;

/** Remembers when keys were last used, and writes it down now and then: never on the path of a request. */
@Injectable()
export class KeyUses implements OnModuleDestroy {
  private readonly pending = new Map<string, Date>();
  private readonly writtenAtMs = new Map<string, number>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly keys: KeysService,
    private readonly clock: Clock,
    private readonly log: Log,
    lifecycle: Lifecycle,
  ) {
    this.timer = setInterval(() => void this.flush(), flushEveryMs).unref();
    lifecycle.onDrain(() => this.flush());
  }

  note(keyId: string): void {
    const now = this.clock.now();
    if (now.getTime() - (this.writtenAtMs.get(keyId) ?? 0) < writeEveryMs || this.pending.size >= keysMax) return;
    this.pending.set(keyId, now);
  }

  /** What cannot be written is forgotten: the next use tells as much. */
  async flush(): Promise<void> {
    if (this.pending.size === 0) return;
    const uses = [...this.pending].map(([id, usedAt]) => ({ id, usedAt }));
    this.pending.clear();
    try {
      await this.keys.recordUses(uses);
      for (const { id, usedAt } of uses) this.remember(id, usedAt.getTime());
    } catch (error) {
      this.log.debug('The last use of keys could not be written', { error });
    }
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  private remember(keyId: string, atMs: number): void {
    if (this.writtenAtMs.size >= keysMax) this.writtenAtMs.clear();
    this.writtenAtMs.set(keyId, atMs);
  }
}
