import { computeOperations, type DesiredInstance, type Secret, secretOperations } from '@alto/contracts';
import { createLog, keyIdOf, loadConfig, MasterKeys, openSecret, startService } from '@alto/platform';
import {
  callerOf,
  eventually,
  type NatsServer,
  newTestProject,
  startClient,
  startNats,
  testCallerPublicKeys,
  type TestProject,
  tokenOf,
} from '@alto/testing';
import { connect } from '@nats-io/transport-node';
import { DataSource } from 'typeorm';
import { ComputeModule } from '../compute.module';
import { computeConfig } from '../config';
import { computeDatabase } from '../database';
import { Scenario, testMasterKey, withinMs } from '../scenario.fake';

const { apps, revisions } = computeOperations;
const keys = MasterKeys.parse(testMasterKey, 'the test');

let nats: NatsServer;
let scenario: Scenario;
let database: DataSource;

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  scenario = await Scenario.begin(nats);
  database = await new DataSource({ type: 'postgres', url: scenario.database.url }).initialize();
});
afterEach(async () => {
  await database.destroy();
  await scenario.end();
});

const address = (secret: string, project: TestProject = scenario.project) => ({ project: project.id, secret });
const set = (name: string, value: string, project: TestProject = scenario.project): Promise<Secret> =>
  scenario.compute.call(secretOperations.put, { ...address(name, project), value }, callerOf(project));
const list = (project: TestProject, more: { limit?: number; cursor?: string } = {}) =>
  scenario.compute.call(secretOperations.list, { project: project.id, ...more }, callerOf(project, 'viewer'));
const remove = (name: string) =>
  scenario.compute.call(secretOperations.delete, address(name), callerOf(scenario.project));

/** What an agent would start the instance with. */
function opened({ project, secretEnv = [] }: DesiredInstance): Record<string, string> {
  return Object.fromEntries(
    secretEnv.map(({ name, version, sealed }) => [name, openSecret(keys, sealed ?? '', { project, name, version })]),
  );
}

async function keptVersions(): Promise<number[]> {
  const rows: { version: number }[] = await database.query('SELECT version FROM secret_value ORDER BY version');
  return rows.map(({ version }) => version);
}

/** Every row of every table, as text. */
async function everythingStored(): Promise<string> {
  const tables: { name: string }[] = await database.query(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
  );
  expect(tables.length).toBeGreaterThan(8);
  const rows = await Promise.all(tables.map(({ name }) => database.query(`SELECT to_jsonb(t)::text FROM "${name}" t`)));
  return JSON.stringify(rows);
}

describe('a secret', () => {
  it('is set, shown, listed in pages and deleted, and its value is never told', async () => {
    const made = await set('API_TOKEN', 'first value');
    expect(made).toEqual({
      id: expect.stringMatching(/^sec_/),
      project: scenario.project.id,
      name: 'API_TOKEN',
      version: 1,
      createdAt: expect.any(String),
      updatedAt: made.createdAt,
    });
    expect(await set('API_TOKEN', 'first value')).toEqual(made);
    expect(await set('API_TOKEN', 'second value')).toMatchObject({ id: made.id, version: 2 });
    await set('DATABASE_URL', 'x');
    const shown = await scenario.compute.call(
      secretOperations.get,
      address('API_TOKEN'),
      callerOf(scenario.project, 'viewer'),
    );
    expect(shown).toMatchObject({ id: made.id, version: 2 });
    const first = await list(scenario.project, { limit: 1 });
    const second = await list(scenario.project, { limit: 1, cursor: first.nextCursor });
    expect([...first.items, ...second.items].map(({ name }) => name)).toEqual(['API_TOKEN', 'DATABASE_URL']);
    expect(second.nextCursor).toBeUndefined();
    expect(await keptVersions()).toEqual([1, 2]);
    await remove('API_TOKEN');
    await expect(remove('API_TOKEN')).rejects.toMatchObject({ code: 'not_found' });
    expect((await list(scenario.project)).items.map(({ name }) => name)).toEqual(['DATABASE_URL']);
    expect(await keptVersions()).toEqual([1]);
  });

  it('can be set by developers alone', async () => {
    const put = scenario.compute.call(
      secretOperations.put,
      { ...address('TOKEN'), value: 'x' },
      callerOf(scenario.project, 'viewer'),
    );
    await expect(put).rejects.toMatchObject({ code: 'forbidden' });
  });

  it.each([
    ['a name that is no variable', 'api-token', 'x', 'secret'],
    ['a name that Alto sets', 'PORT', 'x', 'secret'],
    ['a name that Alto keeps', 'ALTO_INSTANCE', 'x', 'secret'],
    ['nothing', 'TOKEN', '', 'value'],
    ['a NUL character', 'TOKEN', 'hunter\0two', 'value'],
    ['too many characters', 'TOKEN', 'h'.repeat(32_769), 'value'],
    ['too many bytes', 'TOKEN', 'ü'.repeat(32_768), 'value'],
  ])('of %s is refused, and the value is not quoted', async (_what, name, value, field) => {
    const error: unknown = await set(name, value).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'invalid_request', field });
    if (value.length > 1) expect(JSON.stringify(error)).not.toContain(value.slice(0, 6));
  });

  it('takes its largest value', async () => {
    const value = 'x'.repeat(32_768);
    const agent = scenario.join({ node: 'node-a' });
    await set('LARGE', value);
    await scenario.put('hello', { secrets: ['LARGE'] });
    await scenario.reaches('hello', 'running');
    expect(opened(agent.instructions.instances[0]!)).toEqual({ LARGE: value });
  });

  it('stays within its project', async () => {
    const other = newTestProject();
    await set('TOKEN', 'mine');
    await set('TOKEN', 'theirs', other);
    expect((await list(other)).items).toMatchObject([{ project: other.id, version: 1 }]);
    await set('ONLY_MINE', 'x');
    const theirs = scenario.compute.call(secretOperations.get, address('ONLY_MINE', other), callerOf(other));
    const unknown = scenario.compute.call(secretOperations.get, address('NONE', other), callerOf(other));
    await expect(theirs).rejects.toMatchObject({ code: 'not_found', message: 'The project has no secret ONLY_MINE.' });
    await expect(unknown).rejects.toMatchObject({ code: 'not_found', message: 'The project has no secret NONE.' });
    const foreign = scenario.compute.call(secretOperations.get, address('ONLY_MINE'), callerOf(other));
    await expect(foreign).rejects.toMatchObject({ code: 'not_found' });
    const app = { project: other.id, app: 'theirs', command: ['node'], secrets: ['ONLY_MINE'] };
    const using = scenario.compute.call(apps.put, app, callerOf(other));
    await expect(using).rejects.toMatchObject({ code: 'unprocessable', field: 'secrets' });
  });

  it('gets a version each when many set it at once', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, (_, index) => set('TOKEN', `value ${index}`)));
    expect(made.map(({ version }) => version).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
  });

  it('is one of a thousand at most, however many are set at once, and however many others are', async () => {
    await scenario.startCompute();
    await database.query(
      `INSERT INTO secret (id, project, name, version, deleted, created_at, updated_at)
       SELECT 'sec_' || lpad(n::text, 26, '0'), $1, 'FILLER_' || n, 1, false, now(), now() FROM generate_series(1, 990) AS n`,
      [scenario.project.id],
    );
    const other = newTestProject();
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: 40 }, (_, n) => set(`SECRET_${n}`, 'value')),
      ...Array.from({ length: 5 }, (_, n) => set(`SECRET_${n}`, 'value', other)),
    ]);
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(30);
    for (const { reason } of refused as PromiseRejectedResult[])
      expect(reason).toMatchObject({ code: 'quota_exceeded' });
    const present = 'SELECT count(*)::integer AS count FROM secret WHERE project = $1 AND NOT deleted';
    expect(await database.query(present, [scenario.project.id])).toEqual([{ count: 1_000 }]);
    await remove('FILLER_1');
    await set('ANOTHER', 'value');
    await expect(set('ONE_MORE', 'value')).rejects.toMatchObject({ code: 'quota_exceeded' });
  });

  it('cannot be set while there is no master key, and says what to do', async () => {
    await scenario.stopCompute(scenario.compute);
    await scenario.startCompute(undefined, { ALTO_MASTER_KEY: '' });
    await expect(set('TOKEN', 'x')).rejects.toMatchObject({
      code: 'service_unavailable',
      nextStep: expect.stringContaining('ALTO_MASTER_KEY_FILE'),
    });
    await scenario.put('hello', { replicas: 0 });
  });
});

describe('an app that uses secrets', () => {
  it('gets them sealed, and is rolled to each new value', async () => {
    const agent = scenario.join({ node: 'node-a' });
    await set('TOKEN', 'old');
    await set('OTHER', 'same');
    await scenario.put('hello', { secrets: ['TOKEN', 'OTHER'] });
    await scenario.put('apart');
    await scenario.reaches('hello', 'running');
    const ofHello = () => agent.instructions.instances.filter(({ appName }) => appName === 'hello');
    expect(ofHello().map(opened)).toEqual([{ TOKEN: 'old', OTHER: 'same' }]);
    await set('TOKEN', 'new');
    expect(await scenario.get('hello')).toMatchObject({ revision: 2 });
    expect(await scenario.get('apart')).toMatchObject({ revision: 1 });
    await eventually(() => expect(ofHello().map(opened)).toContainEqual({ TOKEN: 'new', OTHER: 'same' }), { withinMs });
    const kept = await scenario.compute.call(revisions.list, scenario.address('hello'), callerOf(scenario.project));
    expect(kept.items.map(({ number, secrets }) => [number, secrets])).toEqual([
      [2, { TOKEN: 2, OTHER: 1 }],
      [1, { TOKEN: 1, OTHER: 1 }],
    ]);
  });

  it('is refused one that the project does not have, and one that is a variable already', async () => {
    await expect(scenario.put('hello', { secrets: ['NONE'] })).rejects.toMatchObject({
      code: 'unprocessable',
      field: 'secrets',
      message: expect.stringContaining('NONE'),
    });
    await set('TOKEN', 'x');
    const twice = scenario.put('hello', { secrets: ['TOKEN'], env: { TOKEN: 'x' } });
    await expect(twice).rejects.toMatchObject({ code: 'invalid_request', field: 'secrets' });
  });

  it('is refused more than fits into what an agent is told', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `LARGE_${index}`);
    for (const name of names) await set(name, name.repeat(4_000));
    const refused = { code: 'unprocessable', field: 'secrets' };
    await expect(scenario.put('hello', { secrets: names })).rejects.toMatchObject(refused);
    await scenario.put('hello', { secrets: names.slice(0, 5), replicas: 0 });
  });

  it('keeps a secret from being deleted, and the values of revisions that it can go back to', async () => {
    await set('TOKEN', 'one');
    await scenario.put('hello', { secrets: ['TOKEN'], replicas: 0 });
    await expect(remove('TOKEN')).rejects.toMatchObject({
      code: 'conflict',
      message: 'Secret TOKEN is used by the app hello.',
      details: { apps: ['hello'] },
    });
    for (let value = 2; value <= 14; value++) await set('TOKEN', `value ${value}`);
    expect(await keptVersions()).toEqual(expect.arrayContaining([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]));
    expect((await keptVersions()).length).toBeLessThanOrEqual(11);
  });

  it('ends with the newest value, however its change and that of the secret meet', async () => {
    await set('TOKEN', 'value 0');
    await Promise.all(
      Array.from({ length: 6 }, async (_, index) => {
        await Promise.all([
          set('TOKEN', `value ${index + 1}`),
          scenario.put(`app-${index % 3}`, { secrets: ['TOKEN'], env: { ROUND: String(index) }, replicas: 0 }),
        ]);
      }),
    );
    const { version } = (await list(scenario.project)).items[0]!;
    expect(version).toBe(7);
    for (const app of ['app-0', 'app-1', 'app-2']) {
      const kept = await scenario.compute.call(revisions.list, scenario.address(app), callerOf(scenario.project));
      expect(kept.items.find(({ current }) => current)?.secrets).toEqual({ TOKEN: 7 });
    }
  });
});

describe('the value of a secret', () => {
  const value = 'correct-horse-battery-staple';
  const disguises = [
    value,
    Buffer.from(value).toString('base64').replace(/=+$/, ''),
    Buffer.from(value).toString('base64url'),
    Buffer.from(value).toString('hex'),
  ];
  const findIn = (text: string) => disguises.filter((disguise) => text.includes(disguise));

  it('is in no column of any table, no answer, no event, and in no message but the one that sets it', async () => {
    const wire = await connect({ servers: nats.url });
    const seen: { subject: string; text: string }[] = [];
    wire.subscribe('>', {
      callback: (_error, { subject, data }) => void seen.push({ subject, text: Buffer.from(data).toString() }),
    });
    await wire.flush();
    const agent = scenario.join({ node: 'node-a' });
    const answers: unknown[] = [await set('TOKEN', `${value}-1`), await set('TOKEN', value)];
    answers.push(await scenario.put('hello', { secrets: ['TOKEN'] }));
    answers.push(await scenario.reaches('hello', 'running'), await set('TOKEN', `${value}-2`));
    await scenario.reaches('hello', 'running', { updated: 1 });
    answers.push(await list(scenario.project), await scenario.get('hello'), await scenario.instancesOf('hello'));
    answers.push(await remove('TOKEN').catch((error: unknown) => error));
    await eventually(() => expect(opened(agent.instructions.instances[0]!)).toEqual({ TOKEN: `${value}-2` }), {
      withinMs,
    });
    await eventually(() => expect(seen.map(({ subject }) => subject).join()).toContain('compute.secrets.updated'), {
      withinMs,
    });
    const stored = await everythingStored();
    await wire.close();

    expect(stored).toContain('TOKEN');
    expect(findIn(stored)).toEqual([]);
    expect(findIn(JSON.stringify(answers))).toEqual([]);
    const telling = seen.filter(({ text }) => findIn(text).length > 0).map(({ subject }) => subject);
    expect(new Set(telling)).toEqual(new Set([secretOperations.put.subject]));
  });

  it('is in no line of the log, whatever is logged and whatever fails', async () => {
    let logged = '';
    const destination = { write: (line: string) => void (logged += line) };
    const log = createLog({ level: 'trace', service: 'compute', instance: 'told', version: '0', destination });
    await scenario.stopCompute(scenario.compute);
    const definition = {
      name: 'compute',
      module: ComputeModule,
      config: computeConfig,
      database: computeDatabase,
    } as const;
    const environment = {
      ALTO_NATS_URL: nats.url,
      ALTO_DATABASE_URL: scenario.database.url,
      ALTO_CALLER_PUBLIC_KEYS: testCallerPublicKeys,
      ALTO_MASTER_KEY: testMasterKey,
    };
    const service = await startService(definition, loadConfig(computeConfig, environment), log);
    const others = await startClient(nats.url, 'gateway');
    try {
      await eventually(async () => expect((await fetch(`${service.url}/readyz`)).status).toBe(200), { withinMs });
      const callerToken = tokenOf(callerOf(scenario.project));
      const tell = (text: string) =>
        others.client.call(secretOperations.put, { ...address('TOKEN'), value: text }, { callerToken });
      await tell(value);
      await expect(tell(`${value}\0`)).rejects.toMatchObject({ code: 'invalid_request' });
      await database.query('ALTER TABLE secret_value RENAME TO secret_value_away');
      await expect(tell(`${value}-2`)).rejects.toMatchObject({ code: 'internal' });
      expect(logged).toContain('secret_value');
      expect(findIn(logged)).toEqual([]);
    } finally {
      await others.stop();
      await service.stop();
    }
  });
});

describe('a new master key', () => {
  it('seals from then on, and what was sealed before still opens', async () => {
    await set('TOKEN', 'before');
    const second = Buffer.alloc(32, 8).toString('base64');
    await scenario.stopCompute(scenario.compute);
    await scenario.startCompute(undefined, { ALTO_MASTER_KEY: `${testMasterKey},${second}` });
    expect(await set('TOKEN', 'before')).toMatchObject({ version: 1 });
    expect(await set('TOKEN', 'after')).toMatchObject({ version: 2 });
    const rows: { sealed: string }[] = await database.query('SELECT sealed FROM secret_value ORDER BY version');
    expect(keyIdOf(rows.at(-1)!.sealed)).toBe(MasterKeys.parse(second, 'the test').newest);
  });
});
