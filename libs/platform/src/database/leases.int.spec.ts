import { buildChild, type ChildProgram, createDatabase, eventually, type TestDatabase } from '@alto/testing';
import type { QueryRunner } from 'typeorm';
import { createLog } from '../service/log';
import { connectionDefaults } from './connection';
import { Database } from './database';
import { type Lease, leaseDefaults, Leases, type LeaseTimes } from './leases';

const log = createLog({ level: 'silent', service: 'test', instance: 'a', version: '0' });
const times = { ttlMs: 2_000, renewEveryMs: 400, lookEveryMs: 50 };
/** No lease runs out by itself meanwhile, on a slow machine neither. */
const longTimes = { ttlMs: 60_000, renewEveryMs: 20_000, lookEveryMs: 50 };

class Written {
  readonly name = 'Test0001Written';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'CREATE TABLE written (id bigint GENERATED ALWAYS AS IDENTITY, token bigint NOT NULL, holder text NOT NULL)',
    );
  }
}

let test: TestDatabase;
let database: Database;
const running: Leases[] = [];

function openDatabase(): Database {
  const settings = {
    ...connectionDefaults,
    service: 'test',
    instance: 'a',
    url: test.url,
    entities: [],
    migrations: [],
  };
  const opened = new Database(settings, log);
  opened.start();
  return opened;
}

function leasesOf(holder: string, lasting: LeaseTimes = times): Leases {
  const leases = new Leases(database, holder, log, lasting);
  running.push(leases);
  return leases;
}

/** Holds the lease until told to stop. */
const untilStopped = (lease: Lease) =>
  new Promise<void>((resolve) =>
    lease.signal.aborted ? resolve() : lease.signal.addEventListener('abort', () => resolve()),
  );

const write = (lease: Lease) =>
  lease.transaction((transaction) =>
    transaction.query('INSERT INTO written (token, holder) VALUES ($1, $2)', [lease.token, 'here']),
  );

beforeEach(async () => {
  test = await createDatabase({ name: 'leases-spec', migrations: [Written] });
  database = openDatabase();
  await eventually(() => database.notReady() === undefined);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((leases) => leases.stop()));
  await database.stop();
  await test.drop();
});

describe('Leases', () => {
  it('are held by one at a time, and handed over at once when given back', async () => {
    const held: string[] = [];
    let together = 0;
    const body = (holder: string) => async (lease: Lease) => {
      together += 1;
      expect(together).toBe(1);
      held.push(holder);
      await untilStopped(lease);
      together -= 1;
    };
    const first = leasesOf('first', longTimes).hold('work', body('first'));
    await eventually(() => first.held);
    leasesOf('second', longTimes).hold('work', body('second'));
    await first.stop();
    await eventually(() => expect(held).toEqual(['first', 'second']), { withinMs: longTimes.ttlMs / 3 });
  });

  it('grow in number with each take-over and refuse the earlier holder', async () => {
    let early: Lease | undefined;
    const holding = leasesOf('first', longTimes).hold('work', async (lease) => {
      early ??= lease;
      await untilStopped(lease);
    });
    await eventually(() => holding.held);
    await write(early!);
    await database.query("UPDATE alto_lease_heartbeat SET expires_at = clock_timestamp() - interval '1 second'");
    let later: Lease | undefined;
    leasesOf('second', longTimes).hold('work', async (lease) => {
      later = lease;
      await write(lease);
      await untilStopped(lease);
    });
    await eventually(() => expect(later).toBeDefined());
    expect(later!.token).toBe(early!.token + 1);
    await expect(write(early!)).rejects.toMatchObject({ code: 'stale_writer' });
    expect(early!.signal.aborted).toBe(true);
  });

  it('run the work again when it ends or throws', async () => {
    let turns = 0;
    leasesOf('first').hold('work', async () => {
      turns += 1;
      if (turns === 1) throw new Error('the first turn fails');
    });
    await eventually(() => turns >= 3);
  });

  it('are lost when the database stays away for longer than they last, and won back', async () => {
    const tokens: number[] = [];
    let lost = 0;
    leasesOf('first').hold('work', async (lease) => {
      tokens.push(lease.token);
      await untilStopped(lease);
      lost += 1;
    });
    await eventually(() => tokens.length === 1);
    await database.query('ALTER TABLE alto_lease_heartbeat RENAME TO away');
    await eventually(() => lost === 1, { withinMs: times.ttlMs * 5 });
    await database.query('ALTER TABLE away RENAME TO alto_lease_heartbeat');
    await eventually(() => tokens.length === 2);
    expect(tokens[1]).toBeGreaterThan(tokens[0]!);
  });

  it('replace a dead holder within 15 s with the times of production', () => {
    expect(leaseDefaults.ttlMs + leaseDefaults.lookEveryMs * 1.25).toBeLessThan(15_000);
    expect(leaseDefaults.renewEveryMs * 3).toBeLessThan(leaseDefaults.ttlMs);
  });
});

describe('A holder in another process', () => {
  let program: ChildProgram;
  beforeAll(async () => {
    program = await buildChild(new URL('./fixtures/lease-holder.ts', import.meta.url));
  });
  afterAll(() => program.remove());

  /** Tokens in the order in which the writes took effect: once a newer one has written, no older one may. */
  async function expectNoStaleWrite(): Promise<void> {
    const { rows } = await database.query<{ token: number }>('SELECT token FROM written ORDER BY id');
    const tokens = rows.map(({ token }) => token);
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  }

  it('that is frozen is replaced; when it wakes up its writes are refused', async () => {
    const frozen = program.start({ url: test.url, holder: 'frozen', times });
    const { token } = await frozen.said({ said: 'held' });
    await frozen.said({ said: 'wrote' });
    frozen.pause();
    const successor = program.start({ url: test.url, holder: 'successor', times });
    await successor.said({ said: 'wrote', token: Number(token) + 1 });
    frozen.resume();
    await frozen.said({ said: 'refused', token, code: 'stale_writer' });
    await expectNoStaleWrite();
  });

  it('that is frozen in the middle of a write does not keep its successor out, and cannot commit', async () => {
    const frozen = program.start({ url: test.url, holder: 'frozen', times });
    const { token } = await frozen.said({ said: 'held' });
    frozen.tell({ order: 'stall' });
    await frozen.said({ said: 'stalled' });
    const before = await database.query('SELECT 1 FROM written');
    frozen.pause();
    const successor = program.start({ url: test.url, holder: 'successor', times });
    await successor.said({ said: 'wrote', token: Number(token) + 1 });
    frozen.resume();
    frozen.tell({ order: 'go on' });
    await frozen.said({ said: 'refused', token });
    await frozen.said({ said: 'refused', token, code: 'stale_writer' });
    const ofFrozen = await database.query("SELECT 1 FROM written WHERE holder = 'frozen'");
    expect(ofFrozen.rows.length).toBe(before.rows.length);
    await expectNoStaleWrite();
  });

  it('that is killed is replaced', async () => {
    const killed = program.start({ url: test.url, holder: 'killed', times });
    const { token } = await killed.said({ said: 'held' });
    await killed.kill();
    const successor = program.start({ url: test.url, holder: 'successor', times });
    await successor.said({ said: 'wrote', token: Number(token) + 1 });
  });
});
