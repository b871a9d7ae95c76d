import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeOperations, masterKeyOperations, type MasterKey, secretOperations } from '@alto/contracts';
import { addMasterKey, Database, MasterKeys, openSecret, removeMasterKey } from '@alto/platform';
import { callerOf, eventually, type NatsServer, startNats } from '@alto/testing';
import { ComputeModule } from '../compute.module';
import type { ScriptedAgent } from '../nodes/agent.fake';
import { Scenario, withinMs } from '../scenario.fake';

const { apps } = computeOperations;
const secretsMade = 120;

let nats: NatsServer;
let scenario: Scenario;
let agent: ScriptedAgent;
let folder: string;
let file: string;

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'alto-keys-'));
  file = join(folder, 'master.key');
  await writeFile(file, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  scenario = await Scenario.begin(nats, { serving: false });
  await startCompute();
  agent = scenario.join({ node: 'node-a' });
  agent.masterKeys = [...keys().ids];
});
afterEach(async () => {
  await scenario.end();
  await rm(folder, { recursive: true, force: true });
});

const startCompute = () =>
  scenario.startCompute(ComputeModule, { ALTO_MASTER_KEY_FILE: file, ALTO_RESEAL_EVERY_MS: '100' });
const keys = () => MasterKeys.fromFile(file);
const asDeveloper = () => callerOf(scenario.project);

const set = (secret: string, value: string) =>
  scenario.compute.call(secretOperations.put, { project: scenario.project.id, secret, value }, asDeveloper());

async function rotation(): Promise<Record<string, MasterKey['state'] | MasterKey>> {
  const { items } = await scenario.compute.call(masterKeyOperations.list, {}, callerOf(null, 'operator'));
  return Object.fromEntries(items.map((key) => [key.id, key]));
}

const keyIs = (id: string, facts: Partial<MasterKey>) =>
  eventually(async () => expect((await rotation())[id]).toMatchObject(facts), { withinMs });

/** Value of the secret as every instance that runs would be started with it, by these keys alone. */
function valuesOf(secret: string, with_: MasterKeys): (string | undefined)[] {
  const running = agent.instructions.instances.filter(({ want }) => want === 'running');
  return running.map(({ secretEnv = [] }) => {
    const found = secretEnv.find(({ name }) => name === secret);
    if (!found?.sealed) return undefined;
    return openSecret(with_, found.sealed, { project: scenario.project.id, name: secret, version: found.version });
  });
}

describe('a new master key', () => {
  it('takes over from the old one under running apps, which start again with their secrets when it is gone', async () => {
    await set('TOKEN', 'first');
    await scenario.put('hello', { secrets: ['TOKEN'], replicas: 2 });
    await scenario.reaches('hello', 'running', { ready: 2 });
    await set('TOKEN', 'second');
    await scenario.reaches('hello', 'running', { ready: 2, updated: 2 });
    for (let n = 0; n < secretsMade; n++) await set(`SECRET_${n}`, `value ${n}`);
    const [old] = keys().ids;
    const started = agent.started.size;
    const before = await scenario.get('hello');

    const fresh = await addMasterKey(file);
    await keyIs(fresh, { state: 'spreading', inUse: true });
    expect((await rotation())[old!]).toMatchObject({ state: 'sealing', values: secretsMade + 2, machines: 1 });
    agent.masterKeys = [old!, fresh];
    await keyIs(old!, { state: 'opening', values: 0, machines: 0, inUse: false });
    expect((await rotation())[fresh]).toMatchObject({ state: 'sealing', values: secretsMade + 2 });
    expect(await scenario.get('hello')).toEqual(before);
    expect(agent.started.size).toBe(started);

    await removeMasterKey(file, old!);
    agent.masterKeys = [fresh];
    await eventually(() => expect(valuesOf('TOKEN', keys())).toEqual(['second', 'second']), { withinMs });
    await scenario.compute.call(apps.restart, scenario.address('hello'), asDeveloper());
    await eventually(() => expect(agent.started.size).toBe(started + 2), { withinMs });
    await scenario.reaches('hello', 'running', { ready: 2, updated: 2 });
    await eventually(() => expect(valuesOf('TOKEN', keys())).toEqual(['second', 'second']), { withinMs });
    // What was in force two revisions ago was sealed anew as well.
    await scenario.compute.call(apps.rollback, { ...scenario.address('hello'), to: 1 }, asDeveloper());
    await scenario.reaches('hello', 'running', { ready: 2, updated: 2 });
    await eventually(() => expect(valuesOf('TOKEN', keys())).toEqual(['first', 'first']), { withinMs });
    expect(await set('SECRET_7', 'value 7')).toMatchObject({ version: 1 });
  });

  it('is taken up by another instance of compute where the first one stopped, and misses nothing set meanwhile', async () => {
    for (let n = 0; n < secretsMade; n++) await set(`SECRET_${n}`, `value ${n}`);
    const [old] = keys().ids;
    const first = scenario.compute;
    await startCompute();
    const fresh = await addMasterKey(file);
    agent.masterKeys = [old!, fresh];
    const setting = Promise.all(Array.from({ length: 40 }, (_, n) => set(`SECRET_${n}`, `newer ${n}`)));
    await scenario.stopCompute(first);
    await setting;
    await keyIs(old!, { values: 0, inUse: false });
    const { rows } = await scenario.compute.app
      .get(Database)
      .query<{ sealed: string; name: string; version: number }>(
        'SELECT sealed, name, secret_value.version FROM secret_value JOIN secret ON secret.id = secret_value.secret',
      );
    await removeMasterKey(file, old!);
    const project = scenario.project.id;
    const values = rows.map(({ sealed, name, version }) => openSecret(keys(), sealed, { project, name, version }));
    expect(values.filter((value) => value.startsWith('newer'))).toHaveLength(40);
    expect(values.filter((value) => value.startsWith('value'))).toHaveLength(secretsMade - 40);
  });

  it('is not forgotten: a key that is missing is said to be, with what it would open', async () => {
    await set('TOKEN', 'first');
    const [old] = keys().ids;
    await writeFile(file, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    await keyIs(old!, { state: 'missing', values: 1, inUse: true });
  });
});

describe('the database', () => {
  it('holds no secret in the clear, in no column of no table', async () => {
    const planted = ['planted-Aq7', 'planted-Zx9'].map((word) => `${word}-${randomBytes(12).toString('hex')}`);
    await set('TOKEN', planted[0]!);
    await scenario.put('hello', { secrets: ['TOKEN'] });
    await scenario.reaches('hello', 'running');
    const input = { project: scenario.project.id, secret: 'TOKEN', value: planted[1]! };
    await scenario.compute.call(secretOperations.put, input, asDeveloper(), { onceKey: 'cd'.repeat(32) });
    await addMasterKey(file);
    agent.masterKeys = [...keys().ids];
    await keyIs(keys().newest, { state: 'sealing' });
    await scenario.delete('hello');
    await scenario.isGone('hello');
    const text = await wholeDatabase();
    expect(text).toContain('TOKEN');
    for (const value of planted) for (const form of formsOf(value)) expect(text.includes(form)).toBe(false);
    expect(JSON.stringify(agent.instructions)).not.toContain(planted[1]);
  });
});

/** Every row of every table, as COPY would write it. */
async function wholeDatabase(): Promise<string> {
  const database = scenario.compute.app.get(Database);
  const { rows } = await database.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
      WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`,
  );
  expect(rows.length).toBeGreaterThan(10);
  const tables = rows.map(({ name }) => database.query<{ row: string }>(`SELECT one::text AS row FROM ${name} AS one`));
  return (await Promise.all(tables)).flatMap((table) => table.rows.map(({ row }) => row)).join('\n');
}

/** As it is, and as a column of bytes or of base64 would show it. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  return [value, bytes.toString('hex'), ...[0, 1, 2].map((cut) => bytes.subarray(cut).toString('base64').slice(2, -4))];
}
