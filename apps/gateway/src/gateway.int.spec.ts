import { mkdtempSync, rmSync } from 'node:fs';
import { request as rawRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AltoError, type Operation, operation } from '@alto/contracts';
import {
  createDatabase,
  eventually,
  type NatsServer,
  startNats,
  startPostgres,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { Validator } from '@seriousme/openapi-schema-validator';
import pg from 'pg';
import { z } from 'zod';
import { gatewayService } from './gateway.module';
import { type FirstOperator, makeFirstOperator } from './identity/first-operator.fake';
import { FakeService, type FakeServiceOptions } from './routing/service.fake';

const thing = (verb: string, more: Partial<Operation> & Pick<Operation, 'http' | 'input'>): Operation =>
  operation({
    service: 'search',
    noun: 'things',
    verb,
    version: 1,
    summary: `${verb} a thing`,
    permission: 'indexes.read',
    callers: ['gateway'],
    output: z.object({ answer: z.unknown() }),
    errors: [],
    idempotent: true,
    ...more,
  });

const project = z.string();
const show = thing('show', {
  http: { method: 'GET', path: '/v1/projects/{project}/things/{thing}' },
  input: z.strictObject({ project, thing: z.string(), depth: z.number().int().optional() }),
});
const change = thing('change', {
  http: { method: 'PUT', path: '/v1/projects/{project}/things/{thing}', status: 202 },
  permission: 'indexes.write',
  input: z.strictObject({ project, thing: z.string(), colour: z.string() }),
});
const novel = thing('novel', {
  http: { method: 'GET', path: '/v1/projects/{project}/novelties' },
  input: z.strictObject({ project }),
});

interface Answer {
  status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
  headers: Headers;
}

let nats: NatsServer;
let database: TestDatabase;
let operator: FirstOperator;
let gateway: TestService;
let stateDirectory: string;
const fakes: FakeService[] = [];

async function startGateway(settings: Record<string, string> = {}): Promise<TestService> {
  return startTestService(gatewayService, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: { ...operator.settings, ALTO_STATE_DIR: stateDirectory, ...settings },
  });
}

async function fake(
  options: Omit<FakeServiceOptions, 'natsUrl' | 'callerPublicKeys' | 'service'>,
): Promise<FakeService> {
  const { callerPublicKeys } = operator;
  const service = new FakeService({ natsUrl: nats.url, callerPublicKeys, service: 'search', ...options });
  fakes.push(service);
  return service.start();
}

async function call(
  method: string,
  path: string,
  init: { key?: string; body?: unknown; headers?: Record<string, string>; url?: string } = {},
): Promise<Answer> {
  const response = await fetch(`${init.url ?? gateway.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${init.key ?? operator.key}`,
      ...(init.body !== undefined && { 'content-type': 'application/json' }),
      ...init.headers,
    },
    ...(init.body !== undefined && { body: typeof init.body === 'string' ? init.body : JSON.stringify(init.body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers };
}

async function until(path: string, status: number, init: Parameters<typeof call>[2] = {}): Promise<Answer> {
  return eventually(async () => {
    const answer = await call('GET', path, init);
    expect(answer.status).toBe(status);
    return answer;
  });
}

const createProject = async (name: string) =>
  (await call('POST', '/v1/projects', { body: { name } })).body as { id: string; name: string };
const createKey = async (projectName: string, role: string) =>
  (await call('POST', `/v1/projects/${projectName}/keys`, { body: { name: 'test', role } })).body as {
    id: string;
    key: string;
  };

beforeAll(async () => {
  nats = await startNats();
  operator = makeFirstOperator();
  stateDirectory = mkdtempSync(join(tmpdir(), 'alto-gateway-state-'));
  const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
  database = await createDatabase({ name: 'gateway', entities, migrations });
  gateway = await startGateway();
  await eventually(async () => expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200));
});

afterEach(async () => {
  for (const service of fakes.splice(0)) await service.stop();
});

afterAll(async () => {
  await gateway?.stop();
  await database?.drop();
  await nats?.stop();
  operator?.remove();
  rmSync(stateDirectory, { recursive: true, force: true });
});

describe('identity', () => {
  it('knows the first operator and the default project', async () => {
    expect((await call('GET', '/v1/whoami')).body).toMatchObject({ role: 'operator', project: null });
    expect((await call('GET', '/v1/projects')).body.items).toMatchObject([{ name: 'default' }]);
  });

  it('refuses a request without a key, with a wrong one and with one that is nearly right', async () => {
    const nearly = operator.key.slice(0, -1) + (operator.key.endsWith('0') ? '1' : '0');
    for (const key of ['', 'x', nearly]) {
      const { status, body, headers } = await call('GET', '/v1/whoami', { key });
      expect([status, body.code]).toEqual([401, 'unauthenticated']);
      expect(headers.get('www-authenticate')).toContain('Bearer');
      expect(headers.get('content-type')).toBe('application/problem+json');
      expect(body).toMatchObject({
        status: 401,
        title: expect.any(String),
        traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      });
    }
  });

  it('keeps nothing but the hash of a key', async () => {
    await createProject('hashed');
    const { key } = await createKey('hashed', 'admin');
    const secret = key.split('_')[2] ?? '';
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const tables = await client.query<{ name: string }>(
      "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'",
    );
    for (const { name } of tables.rows) {
      const { rows } = await client.query(`SELECT row_to_json(t)::text AS text FROM ${name} t`);
      expect(JSON.stringify(rows)).not.toContain(secret);
    }
    await client.end();
    expect(tables.rows.length).toBeGreaterThan(2);
  });

  it('gives each role its permissions and no more', async () => {
    await createProject('roles');
    const viewer = (await createKey('roles', 'viewer')).key;
    const admin = (await createKey('roles', 'admin')).key;
    expect((await call('GET', '/v1/projects/roles', { key: viewer })).status).toBe(200);
    expect((await call('GET', '/v1/projects/roles/keys', { key: viewer })).body.code).toBe('forbidden');
    expect((await call('GET', '/v1/projects/roles/keys', { key: admin })).body.items).toHaveLength(2);
    expect((await call('GET', '/v1/services', { key: admin })).status).toBe(403);
    expect((await call('POST', '/v1/projects', { key: admin, body: { name: 'more' } })).status).toBe(403);
    expect(
      (await call('POST', '/v1/projects/roles/keys', { key: admin, body: { name: 'x', role: 'operator' } })).body.field,
    ).toBe('role');
  });

  it('refuses a revoked key at once here, and within a second at every other gateway', async () => {
    const other = await startGateway({ ALTO_STATE_DIR: join(stateDirectory, 'other') });
    try {
      await createProject('revoked');
      const { id, key } = await createKey('revoked', 'viewer');
      const path = '/v1/projects/revoked';
      await until(path, 200, { key, url: other.url });
      expect((await call('GET', path, { key })).status).toBe(200);
      expect((await call('DELETE', `/v1/projects/revoked/keys/${id}`)).body.revokedAt).not.toBeNull();
      const revokedAt = performance.now();
      expect((await call('GET', path, { key })).status).toBe(401);
      let lastAcceptedMs = 0;
      await eventually(async () => {
        const askedMs = performance.now() - revokedAt;
        const { status } = await call('GET', path, { key, url: other.url });
        if (status === 200) lastAcceptedMs = askedMs;
        expect(status).toBe(401);
      });
      expect(lastAcceptedMs).toBeLessThan(1_000);
      expect((await call('DELETE', `/v1/projects/revoked/keys/${id}`)).status).toBe(200);
    } finally {
      await other.stop();
    }
  });

  it('writes down when a key was used', async () => {
    await createProject('used');
    const { id, key } = await createKey('used', 'viewer');
    await call('GET', '/v1/projects/used', { key });
    await eventually(
      async () => {
        const { items } = (await call('GET', '/v1/projects/used/keys')).body;
        expect(items.find((one: { id: string }) => one.id === id).lastUsedAt).not.toBeNull();
      },
      { withinMs: 60_000 },
    );
  });
});

describe('walls between projects', () => {
  it('answers for a project of others exactly as for one that is not there', async () => {
    const [one, two] = [await createProject('wall-one'), await createProject('wall-two')];
    const { key } = await createKey('wall-one', 'admin');
    const foreign = await createKey('wall-two', 'admin');
    const strip = ({ traceId: _, ...body }: Record<string, unknown>) => body;
    for (const path of ['', '/keys', '/events', `/keys/${foreign.id}`]) {
      const method = path.startsWith('/keys/') ? 'DELETE' : 'GET';
      const unknown = await call(method, `/v1/projects/nowhere${path}`, { key });
      for (const name of [two.id, two.name]) {
        const answer = await call(method, `/v1/projects/${name}${path}`, { key });
        expect([answer.status, strip(answer.body)]).toEqual([404, strip(unknown.body)]);
      }
    }
    expect((await call('GET', '/v1/projects', { key })).body.items.map(({ id }: { id: string }) => id)).toEqual([
      one.id,
    ]);
    const mixed = await call('DELETE', `/v1/projects/wall-one/keys/${foreign.id}`, { key });
    expect([mixed.status, mixed.body.field]).toEqual([404, 'key']);
    expect((await call('GET', '/v1/projects/wall-two', { key: foreign.key })).status).toBe(200);
  });

  it("refuses another list's cursor", async () => {
    await createProject('cursor-a');
    await createProject('cursor-b');
    for (let count = 0; count < 3; count++) await createKey('cursor-a', 'viewer');
    const first = (await call('GET', '/v1/projects/cursor-a/keys?limit=2')).body;
    expect(first.items).toHaveLength(2);
    const second = (await call('GET', `/v1/projects/cursor-a/keys?limit=2&cursor=${first.nextCursor}`)).body;
    expect([second.items.length, second.nextCursor]).toEqual([1, undefined]);
    for (const path of [`/v1/projects/cursor-b/keys?cursor=${first.nextCursor}`, '/v1/projects?cursor=nonsense']) {
      const refused = await call('GET', path);
      expect([refused.status, refused.body.field]).toEqual([400, 'cursor']);
    }
  });
});

describe('learned routes', () => {
  const echo: FakeServiceOptions['answer'] = (served, input, caller) => ({
    answer: { served: served.name, input, caller },
  });

  it('routes what a service announces, as the caller that the key is', async () => {
    const { id } = await createProject('learned');
    const { key, id: keyId } = await createKey('learned', 'developer');
    expect((await call('GET', '/v1/projects/learned/things/a')).status).toBe(404);
    await fake({ operations: [show, change], answer: echo });
    const forged = { 'alto-caller': 'forged', 'alto-request-id': 'forged' };
    const { body } = await until('/v1/projects/learned/things/a%20b?depth=3', 200, { key, headers: forged });
    expect(body.answer).toEqual({
      served: 'search.things.show',
      input: { project: id, thing: 'a b', depth: 3 },
      caller: { id: keyId, role: 'developer', project: id, projectName: 'learned' },
    });
    const changed = await call('PUT', `/v1/projects/${id}/things/a`, { key, body: { colour: 'red' } });
    expect([changed.status, changed.body.answer.input.colour]).toEqual([202, 'red']);
    const viewer = (await createKey('learned', 'viewer')).key;
    expect((await call('PUT', '/v1/projects/learned/things/a', { key: viewer, body: {} })).body.code).toBe('forbidden');
    expect((await call('DELETE', '/v1/projects/learned/things/a', { key })).headers.get('allow')).toBe('GET, PUT');
  });

  it('answers 503, naming the service, for what it has learned when nobody serves it, over a restart as well', async () => {
    const service = await fake({ operations: [show, change], answer: echo });
    await until('/v1/projects/default/things/a', 200);
    await service.stop();
    fakes.length = 0;
    const check = async () => {
      const startedAt = performance.now();
      const { status, body, headers } = await call('GET', '/v1/projects/default/things/a');
      expect([status, body.code, body.details]).toEqual([503, 'service_unavailable', { service: 'search' }]);
      expect(headers.get('retry-after')).toBe('1');
      // A request's whole time is ten seconds.
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect((await call('GET', '/v1/projects/default/nowhere')).status).toBe(404);
    };
    await check();
    await gateway.stop();
    gateway = await startGateway();
    await eventually(check);
  });

  it('reaches an operation that is new in the next version, without a restart', async () => {
    await fake({ operations: [show], answer: echo });
    await until('/v1/projects/default/things/a', 200);
    expect((await call('GET', '/v1/projects/default/novelties')).status).toBe(404);
    const next = await fake({ version: '1.1.0', operations: [show, novel], answer: echo });
    await until('/v1/projects/default/novelties', 200);
    const document = (await call('GET', '/v1/openapi.json')).body;
    expect(Object.keys(document.paths)).toContain('/v1/projects/{project}/novelties');
    // Rolled back, while the old version still runs.
    await next.stop();
    fakes.pop();
    await until('/v1/projects/default/novelties', 404);
  });

  it('passes errors of a service on as they are', async () => {
    const answer = () => {
      throw new AltoError('invalid_request', { message: 'colour: must be red', field: 'colour', nextStep: 'Use red.' });
    };
    await fake({ operations: [show], answer });
    const { body } = await until('/v1/projects/default/things/a', 400);
    expect(body).toMatchObject({
      code: 'invalid_request',
      field: 'colour',
      nextStep: 'Use red.',
      traceId: expect.any(String),
    });
  });

  it('describes itself in valid OpenAPI', async () => {
    await fake({ operations: [show, change, novel], answer: echo });
    await until('/v1/projects/default/novelties', 200);
    const document = await (await fetch(`${gateway.url}/v1/openapi.json`)).json();
    const result = await new Validator().validate(document as Record<string, unknown>);
    expect(result.errors).toBeUndefined();
    expect(result.valid).toBe(true);
    const operations = Object.values((document as { paths: object }).paths).flatMap((path) =>
      Object.values(path as object),
    );
    expect(operations.map(({ operationId }) => operationId)).toEqual(
      expect.arrayContaining(['gateway.projects.create', 'gateway.events.follow', 'search.things.change']),
    );
  });

  it('lists the services and their instances', async () => {
    await fake({ version: '1.2.3', operations: [show] });
    await eventually(async () => {
      const { items } = (await call('GET', '/v1/services')).body;
      const find = (name: string) => items.find(({ service }: { service: string }) => service === name);
      expect(find('gateway')).toMatchObject({ state: 'available', instances: [{ state: 'ready' }] });
      expect(find('search')).toMatchObject({ state: 'available', versions: ['1.2.3'] });
      expect(find('compute')).toMatchObject({ state: 'unavailable', instances: [] });
    });
  });
});

describe('limits', () => {
  const path = '/v1/projects';

  it('refuses what is too large, too deep or not JSON, without serving it', async () => {
    const cases: [number, string, Parameters<typeof call>[2]][] = [
      [413, 'too_large', { body: { name: 'x'.repeat(1_000_000) } }],
      [400, 'invalid_request', { body: `${'['.repeat(50_000)}` }],
      [400, 'invalid_request', { body: '{"name":' }],
      [400, 'invalid_request', { body: '[]' }],
      [415, 'unsupported_media_type', { body: '{}', headers: { 'content-type': 'text/plain' } }],
      [400, 'invalid_request', { body: { name: 'fine', extra: 1 } }],
    ];
    for (const [status, code, init] of cases) {
      const answer = await call('POST', path, init);
      expect([answer.status, answer.body.code]).toEqual([status, code]);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
    }
    expect((await call('GET', `${path}?limit=1000`)).body).toMatchObject({ status: 400, field: 'limit' });
    expect((await call('GET', `${path}?unknown=1`)).body).toMatchObject({ status: 400, field: 'unknown' });
  });

  it('refuses URLs and headers beyond their limits, and paths that are no text', async () => {
    expect((await call('GET', `${path}?cursor=${'x'.repeat(9_000)}`)).status).toBe(413);
    expect((await call('GET', path, { headers: { 'x-much': 'x'.repeat(40_000) } })).body).toMatchObject({
      status: 431,
      code: 'headers_too_large',
    });
    expect((await call('GET', '/v1/projects/%ff')).body.code).toBe('invalid_request');
    expect((await call('GET', '/v1/projects/%')).body.code).toBe('invalid_request');
    expect((await call('GET', '/elsewhere')).body.code).toBe('not_found');
  });

  it('sends security headers with every answer', async () => {
    for (const where of [path, '/elsewhere', '/docs', '/v1/openapi.json']) {
      const { headers } = await fetch(`${gateway.url}${where}`);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
    }
    const { headers } = await call('GET', path);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('shows the API reference with nothing from elsewhere', async () => {
    const page = await fetch(`${gateway.url}/docs`);
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    const text = await page.text();
    const sources = Array.from(text.matchAll(/(?:src|href)="([^"]+)"/g), ([, source]) => source ?? '');
    expect(sources).toHaveLength(3);
    for (const source of sources) expect((await fetch(`${gateway.url}${source}`)).status).toBe(200);
    expect((await fetch(`${gateway.url}/docs/..%2Fpackage.json`)).status).toBe(404);
  });
});

it('starts any number of gateways on an empty database at once', async () => {
  const empty = await createDatabase({ name: 'gateway-empty', migrations: [] });
  const start = (name: string) =>
    startGateway({ ALTO_DATABASE_URL: empty.url, ALTO_STATE_DIR: join(stateDirectory, name) });
  const gateways = await Promise.all(['first', 'second', 'third'].map(start));
  try {
    for (const { url } of gateways) {
      await eventually(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200));
      const projects = await until('/v1/projects', 200, { url });
      expect(projects.body.items).toMatchObject([{ name: 'default', version: 1 }]);
    }
    const client = new pg.Client({ connectionString: empty.url });
    await client.connect();
    expect((await client.query('SELECT role, revoked_at FROM api_keys')).rows).toEqual([
      { role: 'operator', revoked_at: null },
    ]);
    await client.end();
  } finally {
    for (const one of gateways) await one.stop();
    await empty.drop();
  }
});

describe('without what it stands on', () => {
  it('goes on with keys and routes it knows while PostgreSQL is away, and is not called unready', async () => {
    const server = await startPostgres();
    const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
    const own = await createDatabase({ name: 'gateway', entities, migrations, server });
    const alone = await startGateway({ ALTO_DATABASE_URL: own.url, ALTO_STATE_DIR: join(stateDirectory, 'alone') });
    try {
      const url = alone.url;
      await until('/v1/projects/default', 200, { url });
      const service = await fake({ operations: [show] });
      await until('/v1/projects/default/things/a', 200, { url });
      await service.stop();
      fakes.pop();
      await server.kill();
      await eventually(async () => expect((await call('GET', '/v1/projects', { url })).status).toBe(503));
      expect((await call('GET', '/v1/whoami', { url })).status).toBe(200);
      expect((await call('GET', '/v1/projects/default/things/a', { url })).body.details).toEqual({ service: 'search' });
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      const stranger = `alto_${'0'.repeat(26)}_${'0'.repeat(64)}`;
      expect((await call('GET', '/v1/whoami', { url, key: stranger })).status).toBe(503);
      await server.start();
      await until('/v1/projects', 200, { url });
    } finally {
      await alone.stop();
      await server.stop();
    }
  });

  it('serves on its unix socket as well', async () => {
    const socketPath = join(stateDirectory, 'gateway.sock');
    const local = await startGateway({ ALTO_HTTP_SOCKET: socketPath, ALTO_STATE_DIR: join(stateDirectory, 'local') });
    try {
      await until('/v1/whoami', 200, { url: local.url });
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const headers = { authorization: `Bearer ${operator.key}` };
        rawRequest({ socketPath, path: '/v1/whoami', headers }, (response) => resolve(response.resume().statusCode))
          .on('error', reject)
          .end();
      });
      expect(status).toBe(200);
    } finally {
      await local.stop();
    }
  });
});
