/**
 * Holders of one lease, interleaved statement by statement over a real PostgreSQL: whatever the order, no write that
 * began before a take-over takes effect after it. A run tells its seed; ALTO_SEED brings it back (the order of
 * statements that PostgreSQL itself lets wait for each other is the server's).
 */
import { createDatabase, Random, type TestDatabase, withSeed } from '@alto/testing';
import pg from 'pg';
import { fenceWrite, releaseLease, renewLease, staleWriter, takeLease } from './lease.store';
import type { Query } from './rows';

const interleavings = 1_000;
const ttlMs = 60_000;
/** A statement that has not answered by then waits for a lock: others go on meanwhile. */
const blockedAfterMs = 3;

type Fence = (query: Query, name: string, fencing: number) => Promise<void>;
const lockedFence: Fence = (query, name, fencing) => fenceWrite(query, name, fencing, ttlMs);
/** What "check, then write" does without the lock. */
const carelessFence: Fence = async (query, name, fencing) => {
  const { rows } = await query<{ fencing: string }>('SELECT fencing FROM alto_lease_token WHERE name = $1', [name]);
  if (Number(rows[0]?.fencing) !== fencing) throw staleWriter(name, fencing);
};

/** What has happened to the lease, as seen from outside: only what PostgreSQL has acknowledged counts. */
interface Observed {
  /** The highest number whose take-over has committed. */
  newest: number;
  accepted: number;
  refused: number;
  taken: number;
  stale: string[];
}

/** Lets one statement of one holder pass at a time. */
class Gate {
  private waiting: { actor: number; pass: () => void }[] = [];
  private progress: () => void = () => {};
  private inFlight = new Set<number>();

  constructor(private readonly random: Random) {}

  async pass<T>(actor: number, statement: () => Promise<T>): Promise<T> {
    await new Promise<void>((pass) => {
      this.waiting.push({ actor, pass });
      this.progress();
    });
    this.inFlight.add(actor);
    try {
      return await statement();
    } finally {
      this.inFlight.delete(actor);
    }
  }

  /** @param between runs between statements, e.g. to let time pass */
  async conduct(actors: Promise<void>[], between: () => Promise<void>): Promise<void> {
    let left = actors.length;
    for (const actor of actors) {
      void actor.finally(() => {
        left -= 1;
        this.progress();
      });
    }
    while (left > 0) {
      await between();
      if (this.waiting.length > 0) {
        const [next] = this.waiting.splice(this.random.integer(this.waiting.length), 1);
        next!.pass();
      }
      await this.settled();
    }
    await Promise.all(actors);
  }

  /** Until a holder stands at the gate again or has ended; briefly when all that move wait for a lock. */
  private settled(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.progress(), blockedAfterMs);
      this.progress = () => {
        clearTimeout(timer);
        this.progress = () => {};
        resolve();
      };
    });
  }
}

class Holder {
  private readonly query: Query;

  constructor(
    private readonly index: number,
    private readonly lease: string,
    private readonly gate: Gate,
    private readonly client: pg.Client,
    private readonly fence: Fence,
    private readonly observed: Observed,
  ) {
    this.query = async <Row>(sql: string, parameters: readonly unknown[] = []) => {
      const { rows, rowCount } = await this.gate.pass(this.index, () => this.client.query(sql, [...parameters]));
      return { rows: rows as Row[], affected: rowCount ?? 0 };
    };
  }

  async run(plan: Random): Promise<void> {
    let token: number | undefined;
    for (let turn = 0; turn < 4; turn++) {
      if (token === undefined) token = await this.take();
      else if (plan.chance(0.15)) await renewLease(this.query, this.lease, token, ttlMs);
      else if (plan.chance(0.1)) await releaseLease(this.query, this.lease, token);
      else if (!(await this.write(token))) token = undefined;
    }
  }

  private async take(): Promise<number | undefined> {
    await this.query('BEGIN');
    const token = await takeLease(this.query, this.lease, `holder ${this.index}`, ttlMs);
    await this.query('COMMIT');
    if (token === undefined) return undefined;
    this.observed.taken += 1;
    this.observed.newest = Math.max(this.observed.newest, token);
    return token;
  }

  private async write(token: number): Promise<boolean> {
    await this.query('BEGIN');
    try {
      await this.fence(this.query, this.lease, token);
    } catch {
      await this.query('ROLLBACK');
      this.observed.refused += 1;
      return false;
    }
    await this.query('INSERT INTO written (lease, token) VALUES ($1, $2)', [this.lease, token]);
    const newestBefore = await this.commit();
    this.observed.accepted += 1;
    if (newestBefore > token) this.observed.stale.push(`number ${token} wrote after ${newestBefore} had taken over`);
    return true;
  }

  /** @returns the newest number when the commit was sent */
  private async commit(): Promise<number> {
    let newestBefore = 0;
    await this.gate.pass(this.index, () => {
      newestBefore = this.observed.newest;
      return this.client.query('COMMIT');
    });
    return newestBefore;
  }
}

let test: TestDatabase;
let clients: pg.Client[];

beforeAll(async () => {
  test = await createDatabase({ name: 'interleavings', migrations: [] });
  clients = Array.from({ length: 4 }, () => new pg.Client({ connectionString: test.url }));
  await Promise.all(clients.map((client) => client.connect()));
  await clients[0]!.query(
    'CREATE TABLE written (id bigint GENERATED ALWAYS AS IDENTITY, lease text NOT NULL, token bigint NOT NULL)',
  );
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()));
  await test.drop();
});

async function interleave(seed: number, fence: Fence): Promise<Observed> {
  const random = new Random(seed);
  const lease = `lease-${seed}-${fence === lockedFence}`;
  const observed: Observed = { newest: 0, accepted: 0, refused: 0, taken: 0, stale: [] };
  const gate = new Gate(random);
  const [clock, ...holders] = clients as [pg.Client, ...pg.Client[]];
  const count = 2 + random.integer(2);
  const actors = holders
    .slice(0, count)
    .map((client, index) => new Holder(index, lease, gate, client, fence, observed).run(new Random(seed + index)));
  // The lease runs out at any moment, as it does for a holder that is frozen there.
  const expire = async () => {
    if (!random.chance(0.12)) return;
    await clock.query(
      `UPDATE alto_lease_heartbeat SET expires_at = clock_timestamp() - interval '1 second'
       WHERE name IN (SELECT name FROM alto_lease_heartbeat WHERE name = $1 FOR UPDATE SKIP LOCKED)`,
      [lease],
    );
  };
  await gate.conduct(actors, expire);
  await expectOrder(lease, observed);
  return observed;
}

/** Rows get their numbers under the lock: an older token after a newer one was written after the take-over. */
async function expectOrder(lease: string, observed: Observed): Promise<void> {
  const { rows } = await clients[0]!.query<{ token: string }>(
    'SELECT token FROM written WHERE lease = $1 ORDER BY id',
    [lease],
  );
  rows.forEach(({ token }, at) => {
    const before = Number(rows[at - 1]?.token ?? 0);
    if (Number(token) < before) observed.stale.push(`number ${token} wrote after number ${before}`);
  });
}

describe('Interleaved holders', () => {
  it(`never get a stale write accepted, in ${interleavings} orders`, async () => {
    const total = { accepted: 0, refused: 0, taken: 0 };
    await withSeed(async (random) => {
      for (let run = 0; run < interleavings; run++) {
        const seed = random.integer(2 ** 31);
        const observed = await interleave(seed, lockedFence);
        if (observed.stale.length > 0) throw new Error(`Run ${run} with seed ${seed}: ${observed.stale.join('; ')}`);
        total.accepted += observed.accepted;
        total.refused += observed.refused;
        total.taken += observed.taken;
      }
    });
    expect(total.accepted).toBeGreaterThan(interleavings / 2);
    expect(total.refused).toBeGreaterThan(interleavings / 20);
    expect(total.taken).toBeGreaterThan(interleavings);
  }, 300_000);

  it('would be caught if the check took no lock', async () => {
    const caught = await withSeed(async (random) => {
      for (let run = 0; run < interleavings; run++) {
        const { stale } = await interleave(random.integer(2 ** 31), carelessFence);
        if (stale.length > 0) return true;
      }
      return false;
    });
    expect(caught).toBe(true);
  }, 300_000);
});
