/** Whatever is sent to the gateway's own operations, the answer is theirs: never a 5xx, and the field is named. */
import { gatewayOperations, type Operation } from '@alto/contracts';
import {
  createDatabase,
  eventually,
  type NatsServer,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
  runs,
} from '@alto/testing';
import { connect } from 'node:net';
import fc from 'fast-check';
import { gatewayService } from './gateway.module';
import { type FirstOperator, makeFirstOperator } from './identity/first-operator.fake';

let nats: NatsServer;
let database: TestDatabase;
let operator: FirstOperator;
let gateway: TestService;

beforeAll(async () => {
  nats = await startNats();
  operator = makeFirstOperator();
  const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
  database = await createDatabase({ name: 'gateway', entities, migrations });
  const settings = {
    ...operator.settings,
    ALTO_HTTP_HEAD_TIMEOUT_MS: '300',
    ALTO_JSON_BODY_TIMEOUT_MS: '300',
    ALTO_CORS_ORIGINS: 'https://console.example',
  };
  gateway = await startTestService(gatewayService, { natsUrl: nats.url, databaseUrl: database.url, settings });
  await eventually(async () => expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200));
});

afterAll(async () => {
  await gateway?.stop();
  await database?.drop();
  await nats?.stop();
  operator?.remove();
});

const operations = Object.values(gatewayOperations)
  .flatMap((verbs): Operation[] => Object.values(verbs))
  .filter(({ http }) => http !== undefined && http.kind !== 'events');

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(
    '',
    'default',
    '\0',
    '\ud800',
    '..',
    '%',
    '%2F',
    '__proto__',
    "'; DROP TABLE projects; --",
    '🦊'.repeat(30),
  ),
);
const value = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }), fc.double(), fc.constantFrom(null, -1, 1e308, [], {}));
const fieldNames = [...new Set(operations.flatMap(({ input }) => Object.keys(input.shape))), 'extra', '__proto__'];

const anyRequest = fc.record({
  operation: fc.constantFrom(...operations),
  path: fc.array(text, { minLength: 2, maxLength: 2 }),
  query: fc.array(fc.tuple(fc.constantFrom(...fieldNames), text), { maxLength: 3 }),
  body: fc.option(fc.oneof(fc.dictionary(fc.constantFrom(...fieldNames), value), value), { nil: undefined }),
});

/** A body of so many bytes, of which these are sent. */
const bodyOf =
  (length: number, text: string): (() => string) =>
  () =>
    `POST /v1/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${operator.key}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${text}`;

it('lets pages of the named origins in, and tells them what they may send', async () => {
  const origin = 'https://console.example';
  const asked = { origin, 'access-control-request-method': 'DELETE' };
  const preflight = await fetch(`${gateway.url}/v1/projects/default/keys/a`, { method: 'OPTIONS', headers: asked });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
  expect(preflight.headers.get('access-control-allow-methods')).toContain('DELETE');
  const refused = await fetch(`${gateway.url}/v1/whoami`, { headers: { origin } });
  expect(refused.status).toBe(401);
  expect(refused.headers.get('access-control-allow-origin')).toBe(origin);
  const foreign = await fetch(`${gateway.url}/v1/whoami`, { headers: { origin: 'https://other.example' } });
  expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  const described = await fetch(`${gateway.url}/v1/openapi.json`, { headers: { origin } });
  expect([described.status, described.headers.get('access-control-allow-origin')]).toEqual([200, origin]);
});

it('refuses bad input without failing', async () => {
  const seen = new Set<number>();
  const property = fc.asyncProperty(anyRequest, async ({ operation, path, query, body }) => {
    const { http } = operation;
    const values = path.map((segment) => encodeURIComponent(segment.toWellFormed()) || 'empty');
    const target = http?.path.replace(/\{\w+\}/g, () => values.pop() ?? 'x');
    const takesBody = http?.method === 'POST';
    const response = await fetch(`${gateway.url}${target}?${new URLSearchParams(query)}`, {
      method: http?.method ?? 'GET',
      headers: { authorization: `Bearer ${operator.key}`, 'content-type': 'application/json' },
      ...(takesBody && body !== undefined && { body: JSON.stringify(body) ?? 'null' }),
    });
    const text = await response.text();
    // What is downloaded is no single JSON document.
    const isDownload = response.ok && operation.http?.kind === 'download';
    const answer = (isDownload ? {} : JSON.parse(text)) as { code?: string; field?: string };
    seen.add(response.status);
    expect(response.status).toBeLessThan(500);
    if (response.status >= 400) expect(answer.code).toBeDefined();
  });
  await fc.assert(property, runs(800));
  expect([...seen]).toEqual(expect.arrayContaining([200, 400, 404]));
});

describe('raw HTTP', () => {
  /** Sends bytes and gives back all that comes until the other side closes. */
  const exchange = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(gateway.url);
      const socket = connect(Number(port), hostname, () => socket.write(bytes));
      let answer = '';
      socket.setTimeout(5_000, () => socket.destroy());
      socket.on('data', (data) => (answer += data.toString()));
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });

  const request = (...lines: string[]) => `GET /v1/whoami HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n`;

  it.each([
    ['two lengths', request('Content-Length: 5', 'Content-Length: 6')],
    ['a length and chunks', `${request('Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n`],
    ['a strange transfer encoding', request('Transfer-Encoding: chunked, identity')],
    ['a folded header', request('X-A: b', ' c')],
    ['a NUL in a header', request('X-A: \0')],
    ['a blank before the colon', request('X-A : b')],
    ['no HTTP at all', 'hello\r\n\r\n'],
  ])('refuses %s and closes', async (_name, bytes) => {
    const answer = await exchange(bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('application/problem+json');
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  it.each([
    ['an endless head', 431, () => `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(33_000)}`],
    ['a head that does not end', 408, () => 'GET / HTTP/1.1\r\nHost: a\r\nX-A: '],
    ['a body that does not end', 408, bodyOf(100, '{')],
  ])('cuts %s', async (_name, status, bytes) => {
    const answer = await exchange(bytes());
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain('application/problem+json');
    expect(answer).toMatch(/connection: close/i);
  });

  it.each([
    ['many values', 413, `[${'0,'.repeat(124_999)}0]`],
    ['many levels', 400, '['.repeat(100)],
  ])('refuses a body of %s', async (_name, status, body) => {
    const headers = { authorization: `Bearer ${operator.key}`, 'content-type': 'application/json' };
    const response = await fetch(`${gateway.url}/v1/projects`, { method: 'POST', headers, body });
    expect(response.status).toBe(status);
    await response.text();
  });

  it('answers chunks that are broken, and does not take the rest for another request', async () => {
    const smuggled = 'GET /v1/services HTTP/1.1\r\nHost: a\r\n\r\n';
    const head = `POST /v1/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${operator.key}\r\nContent-Type: application/json\r\n`;
    const answer = await exchange(`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n${smuggled}`);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
  });
});
