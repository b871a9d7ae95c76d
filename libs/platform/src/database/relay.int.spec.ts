import { event, eventsStream } from '@alto/contracts';
import {
  buildChild,
  type ChildProgram,
  createDatabase,
  eventually,
  failing,
  type NatsServer,
  startNats,
  startPostgres,
  type TestDatabase,
} from '@alto/testing';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { cpSync, rmSync } from 'node:fs';
import type { EntityManager, QueryRunner } from 'typeorm';
import { z } from 'zod';
import { createLog } from '../service/log';
import { FakeClock } from './clock.fake';
import { connectionDefaults } from './connection';
import { Database } from './database';
import { type EventsStream, openEventsStream, streamDefaults } from './events-stream';
import { expectInOrder, readStream, Subscriber } from './fixtures/seen-events';
import { Leases } from './leases';
import { onceKeptMs } from './once';
import { Outbox } from './outbox';
import { Relay, relayDefaults, type RelaySettings } from './relay';

const log = createLog({ level: 'silent', service: 'test', instance: 'a', version: '0' });
const times = { ttlMs: 1_000, renewEveryMs: 250, lookEveryMs: 50 };
const limits = { ...streamDefaults, maxBytes: 64 * 1024 ** 2 };

const appUpdated = event({
  service: 'compute',
  noun: 'apps',
  verb: 'updated',
  version: 1,
  summary: 'An app was updated',
  data: z.object({ note: z.string() }),
});

class Apps {
  readonly name = 'Test0001Apps';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE app (id text PRIMARY KEY, version bigint NOT NULL)');
  }
}

let nats: NatsServer;
let test: TestDatabase;
let database: Database;
let outbox: Outbox;
let leases: Leases;
const clock = new FakeClock();
const relays: Relay[] = [];

const connectOnce = () => connect({ servers: nats.url, reconnect: false, pingInterval: 500, maxPingOut: 2 });
const open = () => openEventsStream(connectOnce, limits);

function startRelay(more: { open?: () => Promise<EventsStream>; settings?: Partial<RelaySettings> } = {}): Relay {
  const parts = { database, outbox, leases, clock, log, open: more.open ?? open };
  const relay = new Relay(parts, { ...relayDefaults, pollEveryMs: 50, ...more.settings });
  relay.start();
  relays.push(relay);
  return relay;
}

async function appendTo(transaction: EntityManager, app: string): Promise<string> {
  await transaction.query('INSERT INTO app VALUES ($1, 0) ON CONFLICT DO NOTHING', [app]);
  const [{ version }] = await transaction.query('SELECT version + 1 AS version FROM app WHERE id = $1 FOR UPDATE', [
    app,
  ]);
  await transaction.query('UPDATE app SET version = $2 WHERE id = $1', [app, version]);
  const facts = {
    project: 'prj_1',
    resource: app,
    resourceVersion: Number(version),
    data: { note: `${app} ${version}` },
  };
  return outbox.append(transaction, appUpdated, facts);
}

const change = (app: string) => database.transaction((transaction) => appendTo(transaction, app));

/** So many changes, spread over some apps, all at once. */
const changes = (count: number, apps = 5) =>
  Promise.all(Array.from({ length: count }, (_, index) => change(`app-${index % apps}`)));

async function relayed(withinMs = 60_000): Promise<void> {
  await eventually(
    async () =>
      expect((await database.query('SELECT 1 FROM alto_outbox WHERE published_sequence IS NULL LIMIT 1')).rows).toEqual(
        [],
      ),
    { withinMs },
  );
}

function openDatabase(url: string): Database {
  const settings = { ...connectionDefaults, service: 'test', instance: 'a', url, entities: [], migrations: [Apps] };
  const opened = new Database(settings, log);
  opened.start();
  return opened;
}

beforeEach(async () => {
  nats = await startNats();
  test = await createDatabase({ name: 'relay-spec', migrations: [Apps] });
  database = openDatabase(test.url);
  outbox = new Outbox(database, clock);
  leases = new Leases(database, 'here', log, times);
  await eventually(() => database.notReady() === undefined);
});
afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
  await database.stop();
  await test.drop();
  await nats.stop();
});

describe('Relay', () => {
  it('publishes CloudEvents under their ids, in order per resource', async () => {
    startRelay();
    await changes(200, 20);
    await relayed();
    const seen = await readStream(nats.url);
    expectInOrder(seen, 200);
    expect(seen.length).toBe(200);
  });

  it('writes nothing for a transaction that is rolled back, and refuses data that breaks the contract', async () => {
    const undone = database.transaction(async (transaction) => {
      await appendTo(transaction, 'app-1');
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    const wrong = database.transaction((transaction) =>
      outbox.append(transaction, appUpdated, {
        project: null,
        resource: 'app-1',
        resourceVersion: 1,
        data: { note: 1 as never },
      }),
    );
    await expect(wrong).rejects.toThrow(/note/);
    expect((await database.query('SELECT 1 FROM alto_outbox')).rows).toEqual([]);
  });

  it('publishes at once after a commit of its own process', async () => {
    startRelay({ settings: { pollEveryMs: 3_600_000 } });
    await change('app-1');
    await relayed(30_000);
    await change('app-1');
    await relayed(30_000);
  });

  it('publishes a commit that comes late, after higher positions have gone out', async () => {
    startRelay();
    let commit: (() => void) | undefined;
    const late = database.transaction(async (transaction) => {
      await appendTo(transaction, 'app-late');
      await new Promise<void>((resolve) => (commit = resolve));
    });
    await eventually(() => expect(commit).toBeDefined());
    await changes(20);
    await relayed();
    expectInOrder(await readStream(nats.url), 20);
    commit?.();
    await late;
    await relayed();
    expectInOrder(await readStream(nats.url), 21);
  });

  it('waits for a NATS that is away, and is not slowed by one that comes and goes', async () => {
    await nats.shutDown();
    startRelay();
    await changes(20);
    for (let turn = 0; turn < 3; turn++) {
      await nats.start();
      await changes(20);
      await nats.kill();
    }
    await nats.start();
    await relayed();
    expectInOrder(await readStream(nats.url), 80);
  });

  it('publishes again what NATS lost when its store is set back to an older copy', async () => {
    const subscriber = new Subscriber(nats.url);
    await (await open()).close();
    await subscriber.start();
    startRelay();
    await changes(20);
    await relayed();
    await nats.shutDown();
    const copy = `${nats.folder}/copy`;
    cpSync(nats.storeFolder, copy, { recursive: true });
    await nats.start();
    await changes(30);
    await relayed();
    await nats.shutDown();
    rmSync(nats.storeFolder, { recursive: true });
    cpSync(copy, nats.storeFolder, { recursive: true });
    await changes(10);
    await nats.start();
    await relayed();
    await eventually(async () => expectInOrder(await readStream(nats.url), 60), { withinMs: 60_000 });
    await eventually(() => expectInOrder(subscriber.seen, 60), { withinMs: 60_000 });
    await subscriber.stop();
  });

  it('goes on when PostgreSQL was killed and has come back', async () => {
    const server = await startPostgres();
    const own = await createDatabase({ name: 'relay-spec', migrations: [Apps], server });
    await database.stop();
    database = openDatabase(own.url);
    outbox = new Outbox(database, clock);
    leases = new Leases(database, 'here', log, times);
    try {
      await eventually(() => database.notReady() === undefined);
      const relay = startRelay();
      const writing = Promise.allSettled(Array.from({ length: 100 }, (_, index) => change(`app-${index % 5}`)));
      await server.kill();
      await writing;
      await server.start();
      await eventually(() => database.notReady() === undefined);
      await changes(20);
      await relayed();
      const [written] = (await database.query<{ events: number }>('SELECT sum(version)::float8 AS events FROM app'))
        .rows;
      expectInOrder(await readStream(nats.url), written!.events);
      await relay.stop();
    } finally {
      await database.stop();
      await server.stop();
    }
  });

  it('notices the loss even when others have written past the place since', async () => {
    const first = startRelay();
    await changes(5);
    await relayed();
    await nats.shutDown();
    const copy = `${nats.folder}/copy`;
    cpSync(nats.storeFolder, copy, { recursive: true });
    await nats.start();
    await changes(600);
    await relayed();
    await first.stop();
    await nats.shutDown();
    rmSync(nats.storeFolder, { recursive: true });
    cpSync(copy, nats.storeFolder, { recursive: true });
    await nats.start();
    const others = await connect({ servers: nats.url });
    for (let count = 0; count < 1_000; count++) {
      const header = headers();
      header.set('Nats-Msg-Id', `other-${count}`);
      others.publish('alto.events.cluster.search.indexes.created', '{}', { headers: header });
    }
    await others.drain();
    startRelay();
    await eventually(async () => expectInOrder(await readStream(nats.url), 605), { withinMs: 60_000 });
  });

  it('publishes all it has kept when the stream was made anew, even under its feet', async () => {
    startRelay();
    await changes(20);
    await relayed();
    const connection = await connect({ servers: nats.url });
    const manager = await jetstreamManager(connection);
    await manager.streams.delete(eventsStream);
    await (await open()).close();
    await connection.close();
    await changes(5);
    await eventually(async () => expectInOrder(await readStream(nats.url), 25), { withinMs: 60_000 });
  });

  it.each(['before', 'after'] as const)(
    'keeps the order when any one publication fails %s it takes effect',
    async (when) => {
      let total = 0;
      for (let call = 1; call <= 6; call++) {
        let faulty = true;
        const openFaulty = async () => {
          const port = await open();
          if (!faulty) return port;
          faulty = false;
          return failing(port, { call, when, methods: ['publish'] });
        };
        const relay = startRelay({ open: openFaulty });
        total += (await changes(6, 2)).length;
        await relayed();
        expectInOrder(await readStream(nats.url), total);
        await relay.stop();
      }
    },
  );

  it('forgets published events and answers after a while, and beyond a number, but never what waits', async () => {
    const first = startRelay();
    await changes(20);
    await relayed();
    await first.stop();
    const keepAnswer = (name: string) =>
      database.query("INSERT INTO alto_once (name, operation, at) VALUES ($1, 'search.lamps.put', $2)", [
        name,
        clock.now(),
      ]);
    await keepAnswer('old');
    clock.advance(Math.max(relayDefaults.keepMs, onceKeptMs) + 1);
    await keepAnswer('new');
    const second = startRelay({ settings: { keepMax: 5 } });
    await changes(1);
    await relayed();
    await second.stop();
    startRelay({ settings: { keepMax: 5 } });
    await eventually(async () =>
      expect((await database.query('SELECT 1 FROM alto_outbox')).rows.length).toBeLessThanOrEqual(5),
    );
    expectInOrder(await readStream(nats.url), 21);
    await eventually(async () =>
      expect((await database.query('SELECT name FROM alto_once')).rows).toEqual([{ name: 'new' }]),
    );
  });
});

describe('Relays in other processes', () => {
  let program: ChildProgram;
  beforeAll(async () => {
    program = await buildChild(new URL('./fixtures/relay.ts', import.meta.url));
  });
  afterAll(() => program.remove());

  const input = (holder: string, more = {}) => ({ url: test.url, natsUrl: nats.url, holder, times, ...more });

  it('killed between publication and record: the next one goes on, in order', async () => {
    await changes(50);
    for (const dieAfter of [1, 7, 20]) {
      const killed = program.start(input(`killed-${dieAfter}`, { dieAfter }));
      await eventually(() => killed.exited, { withinMs: 60_000 });
    }
    const unrecorded = await database.query('SELECT 1 FROM alto_outbox WHERE published_sequence IS NULL');
    expect(unrecorded.rows.length).toBe(50);
    expect((await readStream(nats.url)).length).toBeGreaterThanOrEqual(20);
    const last = program.start(input('last'));
    await relayed();
    expectInOrder(await readStream(nats.url), 50);
    await last.kill();
  });

  it('frozen in the middle of its work and replaced: when it wakes up it spoils nothing', async () => {
    await changes(400, 3);
    const frozen = program.start(input('frozen', { freezeAfter: 30 }));
    await frozen.said({ said: 'acknowledged', count: 30 }, { withinMs: 60_000 });
    const successor = program.start(input('successor'));
    await successor.said({ said: 'acknowledged', count: 10 }, { withinMs: 60_000 });
    frozen.resume();
    await changes(100, 3);
    await relayed();
    expectInOrder(await readStream(nats.url), 500);
    await Promise.all([frozen.kill(), successor.kill()]);
  });
});
