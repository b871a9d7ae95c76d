import { createDatabase, eventually, type PostgresServer, startPostgres, type TestDatabase } from '@alto/testing';
import type { QueryRunner } from 'typeorm';
import { createLog } from '../service/log';
import { connectionDefaults } from './connection';
import { Database, type DatabaseSettings } from './database';

const log = createLog({ level: 'silent', service: 'test', instance: 'a', version: '0' });
const running: Database[] = [];

function open(url: string, more: Partial<DatabaseSettings> = {}): Database {
  const settings = {
    ...connectionDefaults,
    service: 'test',
    instance: 'a',
    url,
    entities: [],
    migrations: [Counters],
    ...more,
  };
  const database = new Database(settings, log);
  running.push(database);
  database.start();
  return database;
}

const ready = (database: Database) => eventually(() => database.notReady() === undefined);

class Counters {
  readonly name = 'Test0001Counters';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE counter (name text PRIMARY KEY, value bigint NOT NULL)');
    await runner.query("INSERT INTO counter VALUES ('a', 0), ('b', 0)");
  }
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((database) => database.stop()));
});

describe('Database on a sound server', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createDatabase({ name: 'database-spec', migrations: [] });
  });
  afterEach(() => test.drop());

  it('migrates before it is ready, and once', async () => {
    await ready(open(test.url));
    const second = open(test.url);
    await ready(second);
    const { rows } = await second.query('SELECT count(*) AS ran FROM alto_migration');
    expect(rows).toEqual([{ ran: 4 }]);
  });

  it('commits or rolls back as a whole, and tells after the commit alone', async () => {
    const database = open(test.url);
    await ready(database);
    const told: string[] = [];
    await database.transaction(async (transaction) => {
      database.afterCommit(transaction, () => told.push('first'));
      await transaction.query("UPDATE counter SET value = 1 WHERE name = 'a'");
      expect(told).toEqual([]);
    });
    const failed = database.transaction(async (transaction) => {
      database.afterCommit(transaction, () => told.push('second'));
      await transaction.query("UPDATE counter SET value = 2 WHERE name = 'a'");
      throw new Error('changed my mind');
    });
    await expect(failed).rejects.toThrow('changed my mind');
    expect(told).toEqual(['first']);
    expect((await database.query("SELECT value FROM counter WHERE name = 'a'")).rows).toEqual([{ value: 1 }]);
  });

  it('runs transactions again that deadlocked or could not be ordered', async () => {
    const database = open(test.url);
    await ready(database);
    let turns = 0;
    const addInOrder = (names: string[]) =>
      database.transaction(async (transaction) => {
        turns += 1;
        for (const name of names) {
          await transaction.query('UPDATE counter SET value = value + 1 WHERE name = $1', [name]);
          await transaction.query('SELECT pg_sleep(0.05)');
        }
      });
    await Promise.all([addInOrder(['a', 'b']), addInOrder(['b', 'a'])]);
    expect(turns).toBeGreaterThan(2);
    const readThenWrite = () =>
      database.transaction(
        async (transaction) => {
          const [{ value }] = await transaction.query("SELECT value FROM counter WHERE name = 'a'");
          await transaction.query("UPDATE counter SET value = $1 WHERE name = 'a'", [value + 1]);
        },
        { isolation: 'SERIALIZABLE' },
      );
    await Promise.all([1, 2, 3, 4].map(readThenWrite));
    expect((await database.query('SELECT value FROM counter ORDER BY name')).rows).toEqual([
      { value: 6 },
      { value: 2 },
    ]);
  });

  it('answers overloaded when the pool stays busy, and goes on', async () => {
    const database = open(test.url, { poolMax: 1, connectTimeoutMs: 200 });
    await ready(database);
    let release: (() => void) | undefined;
    const busy = database.transaction(() => new Promise<void>((resolve) => (release = resolve)));
    await eventually(() => expect(release).toBeDefined());
    await expect(database.query('SELECT 1')).rejects.toMatchObject({ code: 'overloaded' });
    release?.();
    await busy;
    expect(database.notReady()).toBeUndefined();
    await database.query('SELECT 1');
  });

  it('stops at once in the middle of a migration, which the next start runs', async () => {
    class Long {
      readonly name = 'Test0002Long';
      async up(runner: QueryRunner): Promise<void> {
        await runner.query('CREATE TABLE long (id integer)');
        await runner.query('SELECT pg_sleep(600)');
      }
    }
    const observer = open(test.url);
    await ready(observer);
    const cut = open(test.url, { migrations: [Counters, Long] });
    const sleeping =
      "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(600)'";
    await eventually(async () => expect((await observer.query(sleeping)).rows.length).toBe(1));
    const stoppedFrom = performance.now();
    await cut.stop();
    expect(performance.now() - stoppedFrom).toBeLessThan(10_000);
    await eventually(async () => expect((await observer.query(sleeping)).rows).toEqual([]));
    await expect(observer.query('SELECT 1 FROM long')).rejects.toThrow('does not exist');
  });

  it('ends statements and idle transactions that take too long', async () => {
    const database = open(test.url, { statementTimeoutMs: 100, idleInTransactionTimeoutMs: 100 });
    await ready(database);
    await expect(database.query('SELECT pg_sleep(5)')).rejects.toMatchObject({ code: 'timeout' });
    const idle = database.transaction(async (transaction) => {
      await transaction.query('SELECT 1');
      await new Promise((resolve) => setTimeout(resolve, 300));
      await transaction.query('SELECT 1');
    });
    await expect(idle).rejects.toMatchObject({ code: expect.stringMatching(/timeout|service_unavailable/) });
    await eventually(() => database.query('SELECT 1'));
  });
});

describe('Database without its server', () => {
  let server: PostgresServer;
  afterEach(() => server.stop());

  it('waits for a server that comes later, says so meanwhile, and survives its kill and its return', async () => {
    server = await startPostgres();
    await server.shutDown();
    const database = open(server.url());
    expect(() => database.manager).toThrow(expect.objectContaining({ code: 'service_unavailable' }));
    await expect(database.transaction(async () => {})).rejects.toThrow('The database of test is not available');
    await eventually(() => expect(database.notReady()).toMatch(/ENOENT|ECONNREFUSED/));

    await server.start();
    await ready(database);

    const hanging = database.query('SELECT pg_sleep(60)');
    const broken = expect(hanging).rejects.toMatchObject({ code: 'service_unavailable' });
    await server.kill();
    await broken;
    await eventually(() => expect(database.notReady()).toContain('database of test'));
    await expect(database.query('SELECT 1')).rejects.toMatchObject({ code: 'service_unavailable' });

    await server.start();
    await ready(database);
    expect((await database.query('SELECT count(*) AS counters FROM counter')).rows).toEqual([{ counters: 2 }]);
  });

  it('is not ready while the server is frozen, and goes on when it wakes up', async () => {
    server = await startPostgres();
    const database = open(server.url());
    await ready(database);
    let committed = false;
    const change = async () => {
      await database.transaction(async (transaction) => {
        database.afterCommit(transaction, () => (committed = true));
        await transaction.query("UPDATE counter SET value = value + 1 WHERE name = 'a'");
        server.pause();
        await transaction.query("UPDATE counter SET value = value + 1 WHERE name = 'a'");
      });
    };
    const startedAt = performance.now();
    const changing = change();
    const others = Promise.allSettled(Array.from({ length: 30 }, () => database.query('SELECT pg_sleep(1)')));
    await expect(changing).rejects.toMatchObject({ code: 'service_unavailable' });
    await expect(database.query('SELECT 1')).rejects.toMatchObject({ code: 'service_unavailable' });
    // A statement's whole time is thirty seconds.
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(database.notReady()).toBeDefined();
    await others;
    server.resume();
    await ready(database);
    expect((await database.query("SELECT value FROM counter WHERE name = 'a'")).rows).toEqual([{ value: 0 }]);
    expect(committed).toBe(false);
    // No connection was lost to the pool.
    await Promise.all(Array.from({ length: 30 }, () => database.query('SELECT 1')));
  });

  it('keeps whoever waits for a server that stands still for three seconds', async () => {
    server = await startPostgres();
    const database = open(server.url());
    await ready(database);
    // Again where this machine let the server stand still for longer.
    const value = await eventually(async () => {
      const pausedAt = performance.now();
      server.pause();
      const changing = database.query("UPDATE counter SET value = 1 WHERE name = 'a' RETURNING value").catch(String);
      await new Promise((resolve) => setTimeout(resolve, 3_100));
      server.resume();
      const stoodStillMs = performance.now() - pausedAt;
      const changed = await changing;
      await ready(database);
      return stoodStillMs < 3_300 && changed;
    });
    expect(value).toMatchObject({ rows: [{ value: 1 }] });
  });

  it('stops after connections were made too late for those who had asked for them', async () => {
    server = await startPostgres();
    const database = open(server.url());
    await ready(database);
    server.pause();
    const asked = await Promise.allSettled(Array.from({ length: 6 }, () => database.query('SELECT 1')));
    server.resume();
    expect(asked.map(({ status }) => status)).toEqual(asked.map(() => 'rejected'));
    await ready(database);
    await Promise.all(Array.from({ length: 30 }, () => database.query('SELECT 1')));
    await database.stop();
  });
});
