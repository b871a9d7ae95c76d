import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AltoError, type AuditRecord, earliestId, type Operation, operation } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { z } from 'zod';
import { Gateways, type Question } from '../gateways.fake';

const dayMs = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'alto-audit-'));
const clockFile = join(folder, 'offset');

const thing = (verb: string, more: Partial<Operation>): Operation =>
  operation({
    service: 'search',
    noun: 'things',
    verb,
    version: 1,
    summary: `${verb} a thing`,
    http: { method: 'GET', path: '/v1/projects/{project}/things/{thing}' },
    permission: 'indexes.read',
    callers: ['gateway'],
    input: z.strictObject({ project: z.string(), thing: z.string(), colour: z.string().optional() }),
    output: z.object({ name: z.string(), colour: z.string(), token: z.string() }),
    errors: ['conflict'],
    idempotent: true,
    ...more,
  });
const show = thing('show', {});
const change = thing('change', {
  http: { method: 'PUT', path: '/v1/projects/{project}/things/{thing}' },
  permission: 'indexes.write',
});

let gateways: Gateways;
const colours = new Map<string, string>();

beforeAll(async () => {
  writeFileSync(clockFile, '0');
  gateways = await Gateways.start(2, { ALTO_CLOCK_OFFSET_FILE: clockFile, ALTO_AUDIT_SWEEP_EVERY_MS: '50' });
  await gateways.serve({
    service: 'search',
    operations: [show, change],
    answer: ({ name }, input) => {
      const key = `${input['project'] as string} ${input['thing'] as string}`;
      if (input['colour'] === 'taken') throw new AltoError('conflict', 'Somebody has it.');
      if (name === change.name) colours.set(key, input['colour'] as string);
      const colour = colours.get(key);
      if (colour === undefined) throw new AltoError('not_found', 'There is no such thing.');
      return { name: input['thing'], colour, token: 'hunter2' };
    },
  });
});

afterEach(() => writeFileSync(clockFile, '0'));

afterAll(async () => {
  await gateways?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A project of its own with an admin's key, once all gateways know the service. */
async function project(name: string) {
  const { id } = await gateways.createProject(name);
  const admin = await gateways.createKey(name, 'admin');
  const path = `/v1/projects/${name}`;
  for (const gateway of gateways.all)
    await eventually(async () =>
      expect((await gateways.call('GET', `${path}/things/none`, { gateway })).body.detail).toContain('no such thing'),
    );
  const entries = async (query = '', key = admin.key) =>
    (await gateways.call('GET', `${path}/audit${query}`, { key })).body.items as AuditRecord[];
  /** Entries about things: the newest first. */
  const about = async (thing: string) => entries(`?resource=things/${thing}`);
  const put = (thing: string, colour: string, question: Question = {}) =>
    gateways.call('PUT', `${path}/things/${thing}`, { key: admin.key, body: { colour }, ...question });
  return { id, path, admin, entries, about, put };
}

it('writes of a change who made what of what, from where, and how it ended', async () => {
  const { id, about, put, admin } = await project('whole');
  const headers = { 'x-forwarded-for': '192.0.2.7' };
  const first = await put('lamp', 'red', { headers });
  await put('lamp', 'blue', { gateway: gateways.all[1] });
  const [second, earlier] = await eventually(async () => {
    const found = await about('lamp');
    expect(found.map(({ result }) => result)).toEqual(['done', 'done']);
    return found;
  });
  expect(earlier).toMatchObject({
    id: expect.stringMatching(/^aud_/),
    project: id,
    key: { id: admin.id, name: 'test', role: 'admin' },
    operation: 'search.things.change',
    resource: 'things/lamp',
    address: '192.0.2.7',
    requestId: first.headers.get('alto-request-id'),
    status: 200,
    code: null,
    attempts: 1,
    before: null,
    after: { name: 'lamp', colour: 'red', token: '***' },
  });
  expect(second?.before).toEqual({ name: 'lamp', colour: 'red', token: '***' });
  expect(second?.after).toEqual({ name: 'lamp', colour: 'blue', token: '***' });
});

it('writes what was refused, by whom, and counts what is tried again and again', async () => {
  const { id, admin, entries, put, path } = await project('refused');
  const viewer = await gateways.createKey('refused', 'viewer');
  for (let count = 0; count < 3; count++) expect((await put('lamp', 'red', { key: viewer.key })).status).toBe(403);
  expect((await put('lamp', 'taken')).status).toBe(409);
  expect((await put('lamp', 'red', { headers: { 'if-match': '"1"' } })).status).toBe(400);
  expect((await gateways.call('GET', `${path}/keys`, { key: viewer.key })).status).toBe(403);
  expect((await put('lamp', 'red', { key: `${admin.key.slice(0, -4)}zzzz` })).status).toBe(401);
  expect((await gateways.call('PUT', '/v1/projects/other/things/x', { key: admin.key, body: {} })).status).toBe(404);
  const refused = await eventually(async () => {
    const found = await entries('?result=refused');
    const counts = new Map<string, number>();
    for (const { operation: name, code, attempts } of found)
      counts.set(`${name} ${code}`, (counts.get(`${name} ${code}`) ?? 0) + attempts);
    expect(Object.fromEntries(counts)).toEqual({
      'search.things.change conflict': 1,
      'search.things.change forbidden': 3,
      'search.things.change invalid_request': 1,
      'search.things.change not_found': 1,
      'gateway.keys.list forbidden': 1,
    });
    return found;
  });
  const forbidden = refused.find(({ operation, code }) => operation === change.name && code === 'forbidden');
  expect(forbidden).toMatchObject({ project: id, key: { id: viewer.id, role: 'viewer' }, status: 403, after: null });
  const strangers = (await gateways.call('GET', '/v1/audit?result=refused&limit=200')).body.items as AuditRecord[];
  expect(strangers.find(({ code }) => code === 'unauthenticated')).toMatchObject({ key: null, project: null });
});

it('writes who asks for too many changes, though nobody looked at the key', async () => {
  const { path } = await project('hurried');
  const slow = { ALTO_RATE_LIMIT_ADDRESS_PER_SECOND: '1', ALTO_RATE_LIMIT_WINDOW_SECONDS: '1' };
  const gateway = await gateways.add({ ALTO_CLOCK_OFFSET_FILE: clockFile, ...slow });
  const headers = { 'x-forwarded-for': '198.51.100.9' };
  for (let count = 0; count < 10; count++)
    await gateways.call('PUT', `${path}/things/lamp`, { gateway, headers, body: {}, key: '' });
  await eventually(async () => {
    const { items } = (await gateways.call('GET', '/v1/audit?result=refused&limit=200')).body;
    const found = (items as AuditRecord[]).filter(({ address }) => address === '198.51.100.9');
    const limited = found.filter(({ code }) => code === 'rate_limited');
    expect(limited[0]).toMatchObject({ operation: change.name, resource: 'things/lamp', key: null, status: 429 });
    expect(found.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(10);
  });
});

it('shows admins their project alone, nobody else anything, and operators all', async () => {
  const { path, put, entries } = await project('mine');
  const other = await project('theirs');
  await put('lamp', 'red');
  await other.put('lamp', 'red');
  expect((await entries()).every(({ project: of }) => of !== other.id)).toBe(true);
  expect((await gateways.call('GET', `${path}/audit`, { key: other.admin.key })).status).toBe(404);
  expect((await gateways.call('GET', '/v1/audit', { key: other.admin.key })).status).toBe(403);
  const developer = await gateways.createKey('mine', 'developer');
  for (const rest of ['/audit', '/audit/export'])
    expect((await gateways.call('GET', `${path}${rest}`, { key: developer.key })).status).toBe(403);
  const all = (await gateways.call('GET', '/v1/audit?operation=search.things.change&limit=200')).body.items;
  expect(new Set((all as AuditRecord[]).map(({ project: of }) => of)).has(other.id)).toBe(true);
  const [page] = await entries('?limit=1');
  const next = (await gateways.call('GET', '/v1/audit?limit=1')).body.nextCursor as string;
  expect((await gateways.call('GET', `${path}/audit?cursor=${next}`)).body.field).toBe('cursor');
  expect(page).toBeDefined();
});

it('pages, filters and exports, in order and without gaps', async () => {
  const { id, path, put, entries, admin } = await project('listed');
  for (let count = 0; count < 12; count++) await put(`lamp-${count % 3}`, `colour-${count}`);
  await eventually(async () => expect(await entries('?operation=search.things.change&result=done')).toHaveLength(12));
  const paged: AuditRecord[] = [];
  let cursor = '';
  do {
    const { body } = await gateways.call('GET', `${path}/audit?limit=5&operation=search.things.change${cursor}`);
    paged.push(...(body.items as AuditRecord[]));
    cursor = body.nextCursor === undefined ? '' : `&cursor=${body.nextCursor as string}`;
  } while (cursor !== '');
  expect(paged.map(({ after }) => (after as { colour: string }).colour)).toEqual(
    Array.from({ length: 12 }, (_, index) => `colour-${11 - index}`),
  );
  expect(await entries('?resource=things/lamp-1')).toHaveLength(4);
  expect(await entries('?resource=things')).toHaveLength(12);
  expect(await entries('?resource=thing')).toHaveLength(0);
  expect(await entries(`?key=${admin.id}&resource=things`)).toHaveLength(12);
  const middle = paged[5]?.at ?? '';
  const [since, until] = [
    await entries(`?since=${middle}&resource=things`),
    await entries(`?until=${middle}&resource=things`),
  ];
  expect(since.length + until.length).toBe(12);
  expect(since.every(({ at }) => at >= middle)).toBe(true);
  const lines = await gateways.call('GET', `${path}/audit/export?resource=things`, { key: admin.key });
  expect(lines.headers.get('content-type')).toBe('application/x-ndjson');
  const exported = (lines.body as string)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditRecord);
  expect(exported).toEqual([...paged].reverse());
  expect(exported.every(({ project: of }) => of === id)).toBe(true);
  expect((await gateways.call('GET', `${path}/audit/export?result=lost`)).body).toMatchObject({
    status: 400,
    field: 'result',
  });
});

it('exports more than one page', async () => {
  const { id, path } = await project('long');
  await gateways.query(
    `INSERT INTO audit_entries
     SELECT $2 || lpad(n::text, 16, '0'), '2020-01-01', $1, null, null, null, 'made.up', 'x', 'local', 'r', 't', 1, null
     FROM generate_series(1, 1234) AS n`,
    [id, earliestId('audit', Date.now()).slice(0, -16)],
  );
  const { body } = await gateways.call('GET', `${path}/audit/export?operation=made.up`);
  const ids = (body as string)
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as AuditRecord).id);
  expect(ids).toHaveLength(1234);
  expect(new Set(ids).size).toBe(1234);
}, 30_000);

it('makes no change that it cannot write down, and no trial an entry', async () => {
  const { put, about } = await project('strict');
  await put('lamp', 'red');
  await gateways.query('ALTER TABLE audit_entries RENAME TO audit_entries_away');
  try {
    expect((await put('lamp', 'blue')).status).toBeGreaterThanOrEqual(500);
  } finally {
    await gateways.query('ALTER TABLE audit_entries_away RENAME TO audit_entries');
  }
  expect((await put('lamp', 'red', { headers: {} })).body.colour).toBe('red');
  const found = await eventually(async () => {
    const entries = await about('lamp');
    expect(entries.map(({ result }) => result)).toEqual(['done', 'done']);
    return entries;
  });
  expect(found[0]?.before).toMatchObject({ colour: 'red' });
  expect((await gateways.call('POST', '/v1/projects?dryRun=true', { body: { name: 'tried' } })).status).toBe(200);
  const tried = (await gateways.call('GET', '/v1/audit?operation=gateway.projects.create&limit=200')).body.items;
  expect((tried as AuditRecord[]).some(({ after }) => (after as { name?: string } | null)?.name === 'tried')).toBe(
    false,
  );
});

it('keeps a change whose result was not written, as pending and then unknown, and adds the result when it can', async () => {
  const { put, about } = await project('cut');
  await gateways.query('ALTER TABLE audit_results RENAME TO audit_results_away');
  await gateways.query('CREATE TABLE audit_results (entry_id text, status integer, code text, after jsonb)');
  try {
    expect((await put('lamp', 'red')).status).toBe(200);
    expect((await about('lamp')).map(({ result }) => result)).toEqual(['pending']);
    writeFileSync(clockFile, '61000');
    await eventually(async () => expect((await about('lamp'))[0]?.result).toBe('unknown'));
  } finally {
    await gateways.query('DROP TABLE audit_results');
    await gateways.query('ALTER TABLE audit_results_away RENAME TO audit_results');
  }
  await eventually(async () => expect((await about('lamp'))[0]?.result).toBe('done'));
});

it('cannot be changed, and loses only what is older than its retention', async () => {
  const { put, about } = await project('kept');
  await put('lamp', 'red');
  await eventually(async () => expect((await about('lamp'))[0]?.result).toBe('done'));
  for (const statement of [
    "UPDATE audit_entries SET operation = 'x'",
    'UPDATE audit_results SET status = 200',
    'DELETE FROM audit_entries',
    'DELETE FROM audit_results',
    'TRUNCATE audit_entries',
    'TRUNCATE audit_results',
  ])
    await expect(gateways.query(statement)).rejects.toThrow('only ever added to');
  writeFileSync(clockFile, String(89 * dayMs));
  await eventually(async () => {
    await put('time', 'now');
    expect(Date.parse((await about('time'))[0]?.at ?? '')).toBeGreaterThan(Date.now() + 88 * dayMs);
  });
  await put('lamp', 'blue');
  expect(await about('lamp')).toHaveLength(2);
  writeFileSync(clockFile, String(91 * dayMs));
  await eventually(async () => expect(await about('lamp')).toHaveLength(1), { withinMs: 30_000 });
  expect(
    (await gateways.query('SELECT 1 FROM audit_results WHERE entry_id NOT IN (SELECT id FROM audit_entries)')).length,
  ).toBe(0);
}, 60_000);

it('holds no secret of a key that is made or rotated', async () => {
  const { path, admin } = await project('secret');
  const { id, key } = await gateways.createKey('secret', 'viewer');
  const rotated = (await gateways.call('POST', `${path}/keys/${id}/rotate`, { key: admin.key, body: {} })).body
    .key as string;
  await eventually(async () => {
    const { body } = await gateways.call('GET', `${path}/audit/export?resource=keys`);
    const text = body as string;
    expect(text).toContain('"operation":"gateway.keys.rotate"');
    expect(text.match(/"result":"done"/g)?.length).toBeGreaterThanOrEqual(3);
    for (const secret of [key, rotated]) expect(text).not.toContain(secret.split('_')[2]);
  });
});
