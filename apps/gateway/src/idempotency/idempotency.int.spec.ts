import { eventually } from '@alto/testing';
import pg from 'pg';
import { Gateways, type Answer } from '../gateways.fake';

let gateways: Gateways;

beforeAll(async () => {
  gateways = await Gateways.start(2, { ALTO_IDEMPOTENCY_WAIT_MS: '60000' });
});

afterAll(() => gateways?.stop());

const named = (key: string) => ({ 'idempotency-key': key });
const create = (name: string, key: string, gateway = 0): Promise<Answer> =>
  gateways.call('POST', '/v1/projects', { body: { name }, headers: named(key), gateway: gateways.all[gateway]! });
const projectsNamed = async (name: string) => {
  const { body } = await gateways.call('GET', '/v1/projects?limit=200');
  return (body.items as { name: string }[]).filter((project) => project.name === name);
};

async function inDatabase<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: gateways.database.url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

it('repeats the first answer, at any gateway, and says so', async () => {
  const first = await create('repeated', 'k-repeated');
  expect(first.status).toBe(201);
  expect(first.headers.get('idempotency-replayed')).toBeNull();
  for (const gateway of [0, 1]) {
    const again = await create('repeated', 'k-repeated', gateway);
    expect(again).toMatchObject({ status: 201, body: first.body });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.headers.get('etag')).toBe('"1"');
  }
});

it('repeats a refusal, too', async () => {
  await create('taken', 'k-taken-1');
  const first = await create('taken', 'k-taken-2');
  const again = await create('taken', 'k-taken-2');
  expect(first.status).toBe(409);
  expect(again).toMatchObject({ status: 409, body: first.body });
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(again.headers.get('content-type')).toBe('application/problem+json');
});

it('refuses another request under the same key, and knows the keys of each caller apart', async () => {
  await create('first-of-key', 'k-reused');
  expect(await create('second-of-key', 'k-reused')).toMatchObject({
    status: 422,
    body: { code: 'idempotency_key_reused', field: 'Idempotency-Key' },
  });
  const elsewhere = await gateways.call('POST', '/v1/projects/first-of-key/keys', {
    body: { name: 'first-of-key', role: 'viewer' },
    headers: named('k-reused'),
  });
  expect(elsewhere.status).toBe(422);
  const admin = await gateways.createKey('first-of-key', 'admin');
  const other = await gateways.call('POST', '/v1/projects/first-of-key/keys', {
    key: admin.key,
    body: { name: 'mine', role: 'viewer' },
    headers: named('k-reused'),
  });
  expect(other.status).toBe(201);
});

it('does once what many ask at once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) => create('at-once', 'k-at-once', index % 2)),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  expect(await projectsNamed('at-once')).toHaveLength(1);
});

it("gives the service's first answer where its own was never kept, also when it holds a secret", async () => {
  await inDatabase(async (client) => {
    await client.query(`CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.answer IS NOT NULL THEN RAISE EXCEPTION 'as if the gateway were gone'; END IF; RETURN NEW; END $$`);
    await client.query('CREATE TRIGGER lose BEFORE UPDATE ON idempotent_requests FOR EACH ROW EXECUTE FUNCTION lose()');
  });
  const createKey = (gateway: number) =>
    gateways.call('POST', '/v1/projects/default/keys', {
      body: { name: 'lost', role: 'viewer' },
      headers: named('k-lost'),
      gateway: gateways.all[gateway]!,
    });
  const first = await createKey(0);
  expect(first.status).toBe(201);
  await inDatabase((client) => client.query('DROP TRIGGER lose ON idempotent_requests'));
  const again = await eventually(async () => {
    const answer = await createKey(1);
    expect(answer.status).toBe(201);
    return answer;
  });
  expect(again.body).toEqual(first.body);
  const { body } = await gateways.call('GET', '/v1/projects/default/keys?limit=200');
  expect((body.items as { name: string }[]).filter(({ name }) => name === 'lost')).toHaveLength(1);
  const me = await gateways.call('GET', '/v1/whoami', { key: again.body.key as string });
  expect(me.status).toBe(200);
});

it('keeps no secret of an answer in the clear', async () => {
  const { body } = await gateways.call('POST', '/v1/projects/default/keys', {
    body: { name: 'sealed', role: 'viewer' },
    headers: named('k-sealed'),
  });
  const secret = (body.key as string).split('_').at(-1) ?? '';
  const rows = await inDatabase(async (client) => {
    const requests = await client.query('SELECT * FROM idempotent_requests');
    const once = await client.query('SELECT * FROM alto_once');
    return [...requests.rows, ...once.rows] as Record<string, unknown>[];
  });
  const text = rows.flatMap((row) => Object.values(row)).map((value) => (value as Buffer | null)?.toString('latin1'));
  expect(rows.length).toBeGreaterThan(1);
  expect(text.join()).not.toContain(secret);
});

it('makes a repetition wait, and then says that the first one is under way', async () => {
  await create('slow', 'k-slow');
  await inDatabase((client) =>
    client.query(`UPDATE idempotent_requests SET answer = NULL, busy_until = now() + interval '1 hour'`),
  );
  await gateways.add({ ALTO_IDEMPOTENCY_WAIT_MS: '300' });
  const again = await create('slow', 'k-slow', gateways.all.length - 1);
  expect(again).toMatchObject({ status: 409, body: { code: 'request_in_progress' } });
  expect(again.headers.get('retry-after')).toBe('1');
});

it('forgets a request after a day', async () => {
  await create('forgotten', 'k-forgotten');
  await inDatabase((client) => client.query(`UPDATE idempotent_requests SET at = at - interval '24 hours 1 minute'`));
  // A gateway that takes over the sweeping begins with it.
  await Promise.all(gateways.all.map((gateway) => gateway.stop()));
  await gateways.add();
  await eventually(async () => {
    const { rowCount } = await inDatabase((client) => client.query('SELECT 1 FROM idempotent_requests'));
    expect(rowCount).toBe(0);
  });
});
