/**
 * Refused attempts that are waiting to be written. Whoever tries the same in vain again and again makes one entry with
 * a count, so that nobody can fill the log, nor the memory, by being refused.
 */

export interface Refusal {
  readonly atMs: number;
  readonly projectId: string | null;
  readonly key: { readonly id: string; readonly name: string; readonly role: string } | null;
  readonly operation: string;
  readonly resource: string;
  readonly address: string;
  readonly requestId: string;
  readonly traceId: string;
  readonly status: number;
  readonly code: string;
}

export interface CountedRefusal extends Refusal {
  readonly attempts: number;
}

const manyResources = '(several)';

export class Refusals {
  private waiting = new Map<string, CountedRefusal>();

  constructor(private readonly kindsMax: number) {}

  get size(): number {
    return this.waiting.size;
  }

  add(refusal: Refusal | CountedRefusal): void {
    const { key, address, operation, projectId, code } = refusal;
    const kind = JSON.stringify([key?.id ?? address, operation, projectId, code]);
    if (this.waiting.has(kind) || this.waiting.size < this.kindsMax) return this.count(kind, refusal);
    // So many kinds within a moment are an attack: what was tried counts less than that it was.
    this.count(code, { ...refusal, key: null, projectId: null, operation: manyResources });
  }

  /** All that is waiting, for whoever writes it. */
  take(): CountedRefusal[] {
    const taken = [...this.waiting.values()];
    this.waiting = new Map();
    return taken;
  }

  /** What could not be written waits on, beside what has come since. */
  putBack(refusals: readonly CountedRefusal[]): void {
    for (const refusal of refusals) this.add(refusal);
  }

  private count(kind: string, refusal: Refusal & { readonly attempts?: number }): void {
    const known = this.waiting.get(kind);
    const attempts = (known?.attempts ?? 0) + (refusal.attempts ?? 1);
    const resource = known && known.resource !== refusal.resource ? manyResources : refusal.resource;
    this.waiting.set(kind, { ...(known ?? refusal), resource, attempts });
  }
}
