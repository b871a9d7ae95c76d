import { buildChild, type ChildProgram, createDatabase, sharedPostgres, type TestDatabase } from '@alto/testing';
import pg from 'pg';
import { DataSource, type QueryRunner } from 'typeorm';
import { type MigrationClass, runMigrations } from './migrations';

let program: ChildProgram;
let test: { name: string; url: string };
let administrator: pg.Client;

beforeAll(async () => {
  program = await buildChild(new URL('./fixtures/migrator.ts', import.meta.url));
  administrator = new pg.Client({ connectionString: (await sharedPostgres()).url() });
  await administrator.connect();
});
afterAll(async () => {
  await program.remove();
  await administrator.end();
});

let number = 0;
beforeEach(async () => {
  const name = `empty_${process.pid}_${(number += 1)}`;
  await administrator.query(`CREATE DATABASE ${name}`);
  test = { name, url: (await sharedPostgres()).url(name) };
});
afterEach(() => administrator.query(`DROP DATABASE ${test.name} WITH (FORCE)`));

async function withDataSource<T>(work: (dataSource: DataSource) => Promise<T>): Promise<T> {
  const dataSource = new DataSource({
    type: 'postgres',
    driver: pg,
    extra: { connectionString: test.url },
    installExtensions: false,
  });
  await dataSource.initialize();
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

const migrate = (...classes: MigrationClass[]) => withDataSource((dataSource) => runMigrations(dataSource, classes));
const countOf = (table: string) =>
  withDataSource(async (dataSource) =>
    Number((await dataSource.query(`SELECT count(*) AS rows FROM ${table}`))[0].rows),
  );

describe('Migrations', () => {
  it('run once each when two instances start together', async () => {
    const children = [1, 2, 3].map(() => program.start({ url: test.url, stall: false }));
    const done = await Promise.all(children.map((child) => child.said({ said: 'done' })));
    const ran = done.flatMap((message) => String(message['ran']).split(',').filter(Boolean)).sort();
    expect(ran).toEqual([
      'Platform0001Leases',
      'Platform0002Outbox',
      'Platform0003Once',
      'Test0001First',
      'Test0002Second',
    ]);
    expect(await countOf('first')).toBe(1);
    expect(await countOf('second')).toBe(1);
  });

  it('go on where a killed instance left off, which leaves nothing half done', async () => {
    const killed = program.start({ url: test.url, stall: true });
    await killed.said({ said: 'in the middle' });
    const waiting = program.start({ url: test.url, stall: false });
    await killed.kill();
    const { ran } = await waiting.said({ said: 'done' });
    expect(ran).toBe('Test0002Second');
    expect(await countOf('first')).toBe(1);
    expect(await countOf('second')).toBe(1);
  });

  it('leave those of a newer version alone', async () => {
    class Newer {
      readonly name = 'Test0009Newer';
      async up(runner: QueryRunner): Promise<void> {
        await runner.query('CREATE TABLE newer (id integer)');
      }
    }
    expect(await migrate(Newer)).toContain('Test0009Newer');
    expect(await migrate()).toEqual([]);
    expect(await countOf('newer')).toBe(0);
  });

  it('undo one that fails, and say which names are not usable', async () => {
    class Failing {
      readonly name = 'Test0001Failing';
      async up(runner: QueryRunner): Promise<void> {
        await runner.query('CREATE TABLE half (id integer)');
        throw new Error('the second half failed');
      }
    }
    await expect(migrate(Failing)).rejects.toThrow('the second half failed');
    await expect(countOf('half')).rejects.toThrow('does not exist');
    class Nameless {
      async up(): Promise<void> {}
    }
    await expect(migrate(Nameless)).rejects.toThrow('Migration Nameless has no name');
    await expect(migrate(Failing, Failing)).rejects.toThrow('Two migrations are named Test0001Failing');
  });
});

describe('createDatabase', () => {
  let made: TestDatabase[];
  beforeEach(() => (made = []));
  afterEach(() => Promise.all(made.map((one) => one.drop())));

  class Things {
    readonly name = 'Test0001Things';
    async up(runner: QueryRunner): Promise<void> {
      await runner.query('CREATE TABLE thing (id integer PRIMARY KEY)');
    }
  }

  it('gives each caller a migrated database of its own', async () => {
    made = await Promise.all([1, 2, 3].map(() => createDatabase({ name: 'things', migrations: [Things] })));
    const [first, second] = made;
    const insert = async (url: string) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query('INSERT INTO thing VALUES (1)');
      await client.end();
    };
    await insert(first!.url);
    await insert(second!.url);
  });
});
