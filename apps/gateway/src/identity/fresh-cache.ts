/**
 * Values read from PostgreSQL, believed for a moment and kept for when PostgreSQL is away. A value is read again once
 * it is older than `freshMs`; if that fails or takes longer than `patienceMs`, the last one known serves until it is
 * `staleMs` old. What is not there is never remembered.
 */
import { LRUCache } from 'lru-cache';

export interface FreshCacheOptions<V> {
  load: (key: string) => Promise<V | undefined>;
  freshMs: number;
  staleMs: number;
  patienceMs: number;
  entriesMax: number;
  /** Monotonic milliseconds. */
  now?: () => number;
}

interface Entry<V> {
  value: V;
  readAtMs: number;
}

const TOO_SLOW = Symbol('too slow');

export class FreshCache<V extends object> {
  private readonly entries: LRUCache<string, Entry<V>>;
  private readonly loads = new Map<string, Promise<V | undefined>>();
  private readonly now: () => number;
  /** Until then nobody waits for a source that has just proven slow or away. */
  private patientAgainAtMs = 0;

  constructor(private readonly options: FreshCacheOptions<V>) {
    this.entries = new LRUCache({ max: options.entriesMax });
    this.now = options.now ?? (() => performance.now());
  }

  /** @throws what `load` throws, when nothing is known that is young enough to stand in. */
  async get(key: string): Promise<V | undefined> {
    const entry = this.entries.get(key);
    const age = entry ? this.now() - entry.readAtMs : Infinity;
    if (entry && age < this.options.freshMs) return entry.value;
    const load = this.loadOnce(key);
    if (!entry || age > this.options.staleMs) return load;
    try {
      const found = await this.withPatience(load);
      if (found !== TOO_SLOW) return found;
    } catch {
      // The last value known stands in; whoever has none gets the error.
    }
    this.patientAgainAtMs = this.now() + this.options.freshMs;
    return entry.value;
  }

  /** The next `get` reads again, and a read under way is not kept: it may have seen what was before the change. */
  invalidate(key: string): void {
    this.entries.delete(key);
    this.loads.delete(key);
  }

  private loadOnce(key: string): Promise<V | undefined> {
    const running = this.loads.get(key);
    if (running) return running;
    const startedAtMs = this.now();
    const load = this.options
      .load(key)
      .then((value) => {
        if (this.loads.get(key) !== load) return value;
        if (value === undefined) this.entries.delete(key);
        else this.entries.set(key, { value, readAtMs: startedAtMs });
        return value;
      })
      .finally(() => {
        if (this.loads.get(key) === load) this.loads.delete(key);
      });
    this.loads.set(key, load);
    return load;
  }

  private async withPatience(load: Promise<V | undefined>): Promise<V | undefined | typeof TOO_SLOW> {
    const patienceMs = this.now() < this.patientAgainAtMs ? 0 : this.options.patienceMs;
    let timer: NodeJS.Timeout | undefined;
    const tooSlow = new Promise<typeof TOO_SLOW>((resolve) => {
      timer = setTimeout(resolve, patienceMs, TOO_SLOW);
    });
    try {
      return await Promise.race([load, tooSlow]);
    } finally {
      clearTimeout(timer);
    }
  }
}
