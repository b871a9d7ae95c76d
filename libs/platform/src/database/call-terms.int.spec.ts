import { createDatabase, eventually, type TestDatabase } from '@alto/testing';
import type { QueryRunner } from 'typeorm';
import { runInCall, ServedCall } from '../messaging/call-context';
import type { CallTerms } from '../messaging/call-terms';
import { checkPrecondition } from '../messaging/precondition';
import { createLog } from '../service/log';
import { termsKeeper } from './call-terms-keeper';
import { FakeClock } from './clock.fake';
import { connectionDefaults } from './connection';
import { Database } from './database';
import { forgetOnce, onceKeptMs } from './once';
import { queryIn } from './rows';

const key = 'a'.repeat(64);
const otherKey = 'b'.repeat(64);

class Lamps {
  readonly name = 'Test0001Lamps';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE lamp (name text PRIMARY KEY, version int NOT NULL)');
  }
}

describe('a call on terms', () => {
  const clock = new FakeClock();
  let test: TestDatabase;
  let database: Database;

  beforeEach(async () => {
    test = await createDatabase({ name: 'terms-spec', migrations: [] });
    const log = createLog({ level: 'silent', service: 'test', instance: 'a', version: '0' });
    const settings = { ...connectionDefaults, service: 'test', instance: 'a', url: test.url };
    database = new Database({ ...settings, entities: [], migrations: [Lamps] }, log);
    database.start();
    await eventually(() => database.notReady() === undefined);
  });
  afterEach(async () => {
    await database.stop();
    await test.drop();
  });

  /** As the server serves it: the handler in the call, its condition looked after. */
  function serve(terms: CallTerms, handler: () => Promise<string>, operation = 'search.lamps.put'): Promise<string> {
    const call = new ServedCall({
      operation,
      caller: { kind: 'service', id: 'test', role: undefined, project: null, projectName: null },
      requestId: 'r',
      traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`,
      budgetMs: 10_000,
      callerToken: undefined,
      terms,
    });
    const body = async () => {
      const answer = await handler();
      call.requireJudged();
      return answer;
    };
    return runInCall(call, () => termsKeeper(database, clock)(call, body));
  }

  const add = (name: string) =>
    database.transaction(async (transaction) => {
      await queryIn(transaction)('INSERT INTO lamp VALUES ($1, 1)', [name]);
    });
  const count = async () => {
    const { rows } = await database.query<{ lamps: number }>('SELECT count(*) AS lamps FROM lamp');
    return rows[0]!.lamps;
  };

  it('changes nothing on trial, though the handler sees its own change and nobody hears of it', async () => {
    const told: string[] = [];
    const seen = await serve({ dryRun: true }, async () => {
      await add('a');
      await database.transaction(async (transaction) => {
        database.afterCommit(transaction, () => told.push('committed'));
        await queryIn(transaction)("INSERT INTO lamp VALUES ('b', 1)");
      });
      return `${await count()} lamps`;
    });
    expect(seen).toBe('2 lamps');
    expect(await count()).toBe(0);
    expect(told).toEqual([]);
  });

  it('undoes the failed part of a call alone', async () => {
    const told: string[] = [];
    await serve({ onceKey: key }, async () => {
      await add('a');
      const failed = database.transaction(async (transaction) => {
        database.afterCommit(transaction, () => told.push('of the failed part'));
        await queryIn(transaction)("INSERT INTO lamp VALUES ('b', 1)");
        throw new Error('not b');
      });
      await expect(failed).rejects.toThrow('not b');
      return '';
    });
    expect(await count()).toBe(1);
    expect(told).toEqual([]);
  });

  it('is done once, however often and however many at once', async () => {
    let runs = 0;
    const create = () =>
      serve({ onceKey: key }, async () => {
        await add('a');
        return JSON.stringify({ run: ++runs });
      });
    expect(await Promise.all([create(), create(), create()])).toEqual(Array(3).fill('{"run":1}'));
    expect(await create()).toBe('{"run":1}');
    expect(await count()).toBe(1);
  });

  it('may be repeated after it failed', async () => {
    const failing = serve({ onceKey: key }, async () => {
      await add('a');
      throw new Error('the second half');
    });
    await expect(failing).rejects.toThrow('the second half');
    expect(await count()).toBe(0);
    await serve({ onceKey: key }, async () => {
      await add('a');
      return '';
    });
    expect(await count()).toBe(1);
  });

  it('keeps answers sealed, and gives them to the same operation alone', async () => {
    await serve({ onceKey: key }, async () => 'a very secret answer');
    const { rows } = await database.query<Record<string, unknown>>('SELECT * FROM alto_once');
    const kept = rows.map((row) => Object.values(row).map((value) => (value as Buffer).toString('latin1')));
    expect(kept.flat().join()).not.toContain('secret');
    expect(kept.flat().join()).not.toContain(key);
    await expect(serve({ onceKey: key }, async () => '', 'search.lamps.delete')).rejects.toThrow('another one');
    expect(await serve({ onceKey: otherKey }, async () => 'another answer')).toBe('another answer');
  });

  it('forgets answers when their time is over', async () => {
    await serve({ onceKey: key }, async () => 'old');
    clock.advance(onceKeptMs + 1);
    await serve({ onceKey: otherKey }, async () => 'new');
    expect(await forgetOnce(database.query, new Date(clock.nowMs() - onceKeptMs), 10)).toBe(1);
    expect(await serve({ onceKey: otherKey }, async () => 'changed')).toBe('new');
    expect(await serve({ onceKey: key }, async () => 'changed')).toBe('changed');
  });

  it.each<[string, CallTerms, { version: number } | undefined, boolean]>([
    ['If-Match of its version', { ifMatch: [3, 4] }, { version: 4 }, true],
    ['If-Match of another version', { ifMatch: [3] }, { version: 4 }, false],
    ['If-Match of any, and there is one', { ifMatch: '*' }, { version: 4 }, true],
    ['If-Match of any, and there is none', { ifMatch: '*' }, undefined, false],
    ['If-Match of a version, and there is none', { ifMatch: [1] }, undefined, false],
    ['If-None-Match, and there is none', { ifNoneMatch: '*' }, undefined, true],
    ['If-None-Match, and there is one', { ifNoneMatch: '*' }, { version: 1 }, false],
  ])('goes by %s', async (_name, terms, current, isMet) => {
    const change = serve(terms, async () => {
      checkPrecondition(current);
      await add('a');
      return '';
    });
    if (isMet) await change;
    else await expect(change).rejects.toMatchObject({ code: 'precondition_failed' });
    expect(await count()).toBe(isMet ? 1 : 0);
  });

  it('is undone when its handler forgot the condition', async () => {
    const forgetful = serve({ ifMatch: [1] }, async () => {
      await add('a');
      return '';
    });
    await expect(forgetful).rejects.toThrow('does not call checkPrecondition');
    expect(await count()).toBe(0);
  });
});
