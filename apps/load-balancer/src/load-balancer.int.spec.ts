import { createServer, request, type Server } from 'node:http';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CloudEvent, type EndpointSet, loadBalancerOperations, newId, type RequestOf } from '@alto/contracts';
import {
  callerOf,
  createDatabase,
  eventually,
  freePorts,
  HaproxyServer,
  type NatsServer,
  newTestProject,
  startHaproxy,
  startNats,
  startTestService,
  type TestDatabase,
  type TestProject,
  type TestService,
} from '@alto/testing';
import { connect } from '@nats-io/transport-node';
import { loadBalancerConfig } from './config';
import { loadBalancerDatabase } from './database';
import { LoadBalancerModule } from './load-balancer.module';
import { FakeCompute } from './traffic/compute.fake';

const definition = {
  name: 'load-balancer',
  module: LoadBalancerModule,
  config: loadBalancerConfig,
  database: loadBalancerDatabase,
} as const;
const { routes } = loadBalancerOperations;

let nats: NatsServer;
let database: TestDatabase;
let folder: string;
let appsPort: number;
let settings: Record<string, string>;
let service: TestService;
let compute: FakeCompute;
let haproxy: HaproxyServer;
let project: TestProject;
const backends: Server[] = [];

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());

beforeEach(async () => {
  database = await createDatabase({ name: 'load_balancer', ...loadBalancerDatabase });
  folder = mkdtempSync(join(tmpdir(), 'alto-lb-'));
  const [apps = 0, api = 0, s3 = 0] = await freePorts(3);
  appsPort = apps;
  settings = {
    ALTO_HAPROXY_DIR: folder,
    ALTO_APPS_PORT: `${apps}`,
    ALTO_API_PORT: `${api}`,
    ALTO_S3_PORT: `${s3}`,
    ALTO_PROXY_SYNC_INTERVAL_MS: '300',
  };
  project = newTestProject();
  service = await start();
  compute = await FakeCompute.start(nats.url);
  haproxy = await startHaproxy({ folder });
});
afterEach(async () => {
  await service.stop();
  await compute.stop();
  await haproxy.stop();
  await Promise.all(backends.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(more: Record<string, string> = {}): Promise<TestService> {
  const started = await startTestService(definition, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: { ...settings, ...more },
  });
  await ready(started);
  return started;
}

const ready = (one: TestService) =>
  eventually(async () => expect((await fetch(`${one.url}/readyz`)).status).toBe(200), { withinMs: 20_000 });

async function backend(answer: string): Promise<number> {
  const server = createServer((_, response) => response.setHeader('connection', 'close').end(answer));
  backends.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

async function appOf(owner: TestProject, name: string, answer = name): Promise<EndpointSet> {
  const endpoints = [
    { instance: newId('instance'), ip: '127.0.0.1', port: await backend(answer), state: 'ready' as const },
  ];
  const app = newId('app');
  return { app, appName: name, project: owner.id, projectName: owner.name, generation: 0, deleted: false, endpoints };
}

/** Body and status of a request for a host, over HAProxy. */
function get(host: string, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { port: appsPort, host: '127.0.0.1', path, headers: { host }, agent: false },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () =>
          resolve(
            response.statusCode === 200 ? body : [response.statusCode, response.headers.location].join(' ').trim(),
          ),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}
const serves = (host: string, answer: string, path?: string) =>
  eventually(async () => expect(await get(host, path)).toBe(answer));
const put = (
  input: Omit<RequestOf<typeof routes.put>, 'project'>,
  owner = project,
  role: 'developer' | 'operator' = 'developer',
) => service.call(routes.put, { project: owner.id, ...input }, callerOf(owner, role));

it('serves an app at its default host as soon as compute tells of it, and reports what it has applied', async () => {
  const shop = await appOf(project, 'shop');
  compute.tell(shop);
  await serves(`shop.${project.name}.localhost`, 'shop');
  await eventually(() => expect(compute.applied).toBe(compute.generation));
  compute.tell({ ...shop, deleted: true, endpoints: [] });
  await serves(`shop.${project.name}.localhost`, '404');
  await eventually(() => expect(compute.applied).toBe(compute.generation));
  expect(compute.busy).toEqual([]);
  expect(await (await fetch(`${service.url}/metrics`)).text()).toMatch(/^alto_proxy_settled(\{.*\})? 1$/m);
});

it('takes up a list of all apps that comes page by page only when it is whole', async () => {
  compute.isSilent = true;
  compute.pageMax = 2;
  const shop = await appOf(project, 'shop');
  for (let number = 0; number < 5; number++) {
    compute.tell({ ...shop, app: newId('app'), appName: `shop-${number}` });
  }
  compute.isSilent = false;
  await serves(`shop-4.${project.name}.localhost`, 'shop');
  for (let number = 0; number < 5; number++) expect(await get(`shop-${number}.${project.name}.localhost`)).toBe('shop');
  await eventually(() => expect(compute.applied).toBe(5));
  compute.tell({ ...shop, app: newId('app'), appName: 'shop-5' });
  await serves(`shop-5.${project.name}.localhost`, 'shop');
});

it('leads a host to an app, again and elsewhere and nowhere', async () => {
  compute.tell(await appOf(project, 'shop'));
  compute.tell(await appOf(project, 'blog'));
  await put({ route: 'main', host: 'www.example.com', app: 'shop' });
  await serves('www.example.com', 'shop');
  const moved = await put({ route: 'main', host: 'www.example.com', app: 'blog' });
  expect(moved.version).toBe(2);
  await serves('www.example.com', 'blog');
  expect((await put({ route: 'main', host: 'www.example.com', app: 'blog' })).version).toBe(2);
  const shown = await eventually(async () => {
    const route = await service.call(routes.get, { project: project.id, route: 'main' }, callerOf(project));
    expect(route.status.state).toBe('serving');
    return route;
  });
  expect(shown.status.targets).toMatchObject([{ state: 'ready', reason: 'It gets requests.' }]);
  await service.call(routes.delete, { project: project.id, route: 'main' }, callerOf(project));
  await serves('www.example.com', '404');
});

it('leads paths of a host to apps, to several by weight, and elsewhere', async () => {
  for (const name of ['shop', 'blog']) compute.tell(await appOf(project, name));
  const host = 'www.example.com';
  await put({ route: 'main', host, app: 'shop' });
  await put({
    route: 'blog',
    host,
    path: '/blog/',
    apps: [
      { app: 'shop', weight: 0 },
      { app: 'blog', weight: 1 },
    ],
  });
  await put({ route: 'old', host, path: '/old', redirect: { to: 'https://example.org', status: 301, keepPath: true } });
  await serves(host, 'shop', '/blogs');
  await serves(host, 'blog', '/blog/post');
  await serves(host, '301 https://example.org/old/x?y=1', '/old/x?y=1');
  const shown = await service.call(routes.get, { project: project.id, route: 'blog' }, callerOf(project));
  expect(shown).toMatchObject({ path: '/blog', apps: [{ app: 'shop', weight: 0 }, { app: 'blog' }] });
  expect(shown).not.toHaveProperty('app');
  expect(shown.status).toMatchObject({
    state: 'serving',
    targets: [
      { app: 'shop', state: 'out', reason: 'The route gives its app a weight of 0.' },
      { app: 'blog', state: 'ready' },
    ],
  });
  await expect(put({ route: 'again', host, path: '/blog', app: 'shop' })).rejects.toMatchObject({
    code: 'already_exists',
    field: 'host',
  });
  await expect(put({ route: 'mine', host, path: '/mine', app: 'shop' }, newTestProject())).rejects.toMatchObject({
    code: 'already_exists',
  });
  await expect(put({ route: 'none', host: 'other.example.com' })).rejects.toMatchObject({ code: 'invalid_request' });
  const again = {
    route: 'old',
    host,
    path: '/old',
    redirect: { to: 'https://example.org', status: 301, keepPath: true },
  };
  expect((await put(again as Parameters<typeof put>[0])).version).toBe(1);
});

it('bounds how many different headers routes change', async () => {
  const headers = (from: number) => ({
    response: { set: Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`x-${from + n}`, 'a'])) },
  });
  for (let from = 0; from < 64; from += 16) {
    await put({ route: `r${from}`, host: `h${from}.example.com`, app: 'shop', headers: headers(from) });
  }
  await put({ route: 'same', host: 'same.example.com', app: 'shop', headers: headers(0) });
  await expect(
    put({ route: 'more', host: 'more.example.com', app: 'shop', headers: headers(64) }),
  ).rejects.toMatchObject({ code: 'quota_exceeded', field: 'headers' });
});

it('bounds how long the header rules of a project are in all', async () => {
  const rules = { set: Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`x-${n}`, 'a'.repeat(512)])) };
  const lead = (n: number) =>
    put({ route: `r${n}`, host: `h${n}.example.com`, app: 'shop', headers: { request: rules, response: rules } });
  for (let n = 0; n < 31; n++) await lead(n);
  await expect(lead(31)).rejects.toMatchObject({ code: 'quota_exceeded', field: 'headers' });
  await put({ route: 'plain', host: 'plain.example.com', app: 'shop' });
}, 60_000);

it('gives a host to one project alone, and does not tell another whose it is', async () => {
  const other = newTestProject();
  await put({ route: 'main', host: 'www.example.com', app: 'shop' });
  const refused = put({ route: 'mine', host: 'www.example.com', app: 'shop' }, other);
  await expect(refused).rejects.toMatchObject({ code: 'already_exists', field: 'host' });
  await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining(project.name) });
  await expect(
    put({ route: 'mine', host: `shop.${project.name}.localhost`, app: 'shop' }, other),
  ).rejects.toMatchObject({
    code: 'already_exists',
  });
  await expect(service.call(routes.get, { project: other.id, route: 'main' }, callerOf(other))).rejects.toMatchObject({
    code: 'not_found',
  });
  expect(await service.call(routes.list, { project: other.id }, callerOf(other))).toEqual({ items: [] });
});

it('lets an operator alone take every other host', async () => {
  compute.tell(await appOf(project, 'shop'));
  await expect(put({ route: 'all', host: '*', app: 'shop' })).rejects.toMatchObject({ code: 'forbidden' });
  await put({ route: 'all', host: '*', app: 'shop' }, project, 'operator');
  await serves('127.0.0.1', 'shop');
});

it('tells of every change of a route, in order', async () => {
  const seen: CloudEvent[] = [];
  const listener = await connect({ servers: nats.url });
  listener.subscribe(`alto.events.${project.id}.load-balancer.>`, {
    callback: (_, message) => void seen.push(message.json<CloudEvent>()),
  });
  await listener.flush();
  const { id } = await put({ route: 'main', host: 'www.example.com', app: 'shop' });
  await put({ route: 'main', host: 'www.example.com', app: 'shop' });
  await put({ route: 'main', host: 'www.example.org', app: 'shop' });
  await service.call(routes.delete, { project: project.id, route: 'main' }, callerOf(project));
  await eventually(() => expect(seen).toHaveLength(3));
  expect(seen.map(({ type, subject, resourceversion }) => [type, subject, resourceversion])).toEqual([
    ['load-balancer.routes.created', id, 1],
    ['load-balancer.routes.updated', id, 2],
    ['load-balancer.routes.deleted', id, 3],
  ]);
  await listener.close();
});

it('lets one of many claim a host at the same time', async () => {
  const projects = Array.from({ length: 8 }, () => newTestProject());
  const claims = await Promise.allSettled(
    projects.map((one) => put({ route: 'main', host: 'www.example.com', app: 'shop' }, one)),
  );
  expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const claim of claims) {
    if (claim.status === 'rejected') expect(claim.reason).toMatchObject({ code: 'already_exists' });
  }
});

it('lists routes page by page, and says why one does not serve', async () => {
  for (const name of ['a', 'b', 'c']) await put({ route: name, host: `${name}.example.com`, app: 'missing' });
  const first = await service.call(routes.list, { project: project.id, limit: 2 }, callerOf(project));
  expect(first.items.map(({ name }) => name)).toEqual(['a', 'b']);
  const second = await service.call(
    routes.list,
    { project: project.id, limit: 2, cursor: first.nextCursor },
    callerOf(project),
  );
  expect(second.items.map(({ name }) => name)).toEqual(['c']);
  expect(second.items[0]!.status).toMatchObject({ state: 'unknown_app', reason: expect.stringContaining("'missing'") });
  await expect(
    service.call(routes.list, { project: project.id, cursor: 'bm9wZSE' }, callerOf(project)),
  ).rejects.toMatchObject({ code: 'invalid_request', field: 'cursor' });
});

it('starts and serves what it last knew with PostgreSQL, NATS and compute absent', async () => {
  compute.tell(await appOf(project, 'shop'));
  await put({ route: 'main', host: 'www.example.com', app: 'shop' });
  await serves('www.example.com', 'shop');
  await service.stop();
  await haproxy.kill();
  for (const file of ['haproxy.cfg', 'layout.json', 'maps/routes.map']) writeFileSync(join(folder, file), '');
  service = await startTestService(definition, {
    natsUrl: 'nats://127.0.0.1:1',
    databaseUrl: 'postgresql://nobody@127.0.0.1:1/none',
    settings,
  });
  await haproxy.start();
  await serves('www.example.com', 'shop');
  await serves(`shop.${project.name}.localhost`, 'shop');
});

it('keeps the last good files when what was known cannot be read, until compute answers', async () => {
  const shop = await appOf(project, 'shop');
  compute.tell(shop);
  await serves(`shop.${project.name}.localhost`, 'shop');
  await service.stop();
  compute.isSilent = true;
  writeFileSync(join(folder, 'known.json'), '{"version":1,"sets":[{');
  const before = readFileSync(join(folder, 'haproxy.cfg'), 'utf8');
  service = await startTestService(definition, { natsUrl: nats.url, databaseUrl: database.url, settings });
  await haproxy.restart();
  await serves(`shop.${project.name}.localhost`, 'shop');
  expect(readFileSync(join(folder, 'haproxy.cfg'), 'utf8')).toBe(before);
  compute.isSilent = false;
  await ready(service);
  compute.tell(await appOf(project, 'blog'));
  await serves(`blog.${project.name}.localhost`, 'blog');
  await serves(`shop.${project.name}.localhost`, 'shop');
});

it('keeps every host when what was known cannot be read, until the routes can be', async () => {
  compute.tell(await appOf(project, 'shop'));
  await put({ route: 'main', host: 'www.example.com', app: 'shop' });
  await serves('www.example.com', 'shop');
  await service.stop();
  writeFileSync(join(folder, 'known.json'), '{"version":1,"sets":[{');
  const asked = compute.reports;
  const databaseUrl = 'postgresql://nobody@127.0.0.1:1/none';
  service = await startTestService(definition, { natsUrl: nats.url, databaseUrl, settings });
  await eventually(() => expect(compute.reports).toBeGreaterThan(asked + 1), { withinMs: 30_000 });
  await serves('www.example.com', 'shop');
  await service.stop();
  service = await startTestService(definition, { natsUrl: nats.url, databaseUrl: database.url, settings });
  await ready(service);
  await serves('www.example.com', 'shop');
}, 60_000);

it('a second load balancer waits, answers meanwhile, and takes over with no gap', async () => {
  compute.tell(await appOf(project, 'shop'));
  await serves(`shop.${project.name}.localhost`, 'shop');
  const second = await start();
  await put({ route: 'main', host: 'www.example.com', app: 'shop' });
  await serves('www.example.com', 'shop');
  const told = (one: TestService) =>
    one.call(routes.get, { project: project.id, route: 'main' }, callerOf(project, 'viewer'));
  await eventually(async () => {
    expect((await told(service)).status.targets).toMatchObject([{ state: 'ready', reason: 'It gets requests.' }]);
    expect(await told(second)).toEqual(await told(service));
  });
  await service.stop();
  service = second;
  compute.tell(await appOf(project, 'blog'));
  await serves(`blog.${project.name}.localhost`, 'blog');
  await serves('www.example.com', 'shop');
});
