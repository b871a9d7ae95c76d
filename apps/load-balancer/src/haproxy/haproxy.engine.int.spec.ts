import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@alto/platform';
import { eventually, freePorts, HaproxyServer, loadClient, startHaproxy } from '@alto/testing';
import { AnotherWriterError, type Endpoint, type Pool, type ProxySpec } from '../proxy/proxy.engine';
import { ask } from './socket';
import { HaproxyEngine, type HaproxyOptions } from './haproxy.engine';
import { socketsIn } from './runtime';

/** Not one request failed. */
const unharmed = expect.objectContaining({ failed: 0, failures: {} });

const log = createLog({
  level: process.env['ALTO_TEST_LOG_LEVEL'] ?? 'silent',
  service: 'test',
  instance: 'i',
  version: '0',
});

/** An instance of an app: answers with its id. */
class Instance {
  /** How `/readyz` answers. */
  readiness = { status: 200, afterMs: 0 };

  private constructor(
    readonly id: string,
    readonly port: number,
    readonly server: Server,
  ) {}

  static async start(id: string, port = 0): Promise<Instance> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const instance = new Instance(id, (server.address() as { port: number }).port, server);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => instance.answer(request, response));
    return instance;
  }

  endpoint(state: Endpoint['state'] = 'ready'): Endpoint {
    return { id: this.id, address: '127.0.0.1', port: this.port, state };
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    if (response.headersSent) return;
    const { status, afterMs } = this.readiness;
    if (request.url === '/readyz') return void setTimeout(() => response.writeHead(status).end(), afterMs);
    response.setHeader('x-saw', JSON.stringify(request.headers));
    const { searchParams } = new URL(request.url ?? '/', 'http://x');
    setTimeout(() => response.end(this.id), Number(searchParams.get('after') ?? 0));
  }
}

let folder: string;
let options: HaproxyOptions;
let haproxy: HaproxyServer;
let engine: HaproxyEngine;
let instances: Instance[];
let gateway: Instance;
let url: string;
let apiUrl: string;

const pool = (id: string, ...endpoints: Endpoint[]): Pool => ({ id, endpoints });
const spec = (...pools: Pool[]): ProxySpec => ({
  pools,
  hosts: pools.map(({ id }) => ({ host: `${id}.test`, pool: id })),
});
const settle = (wanted: ProxySpec) =>
  eventually(
    async () => {
      const applied = await engine.apply(wanted);
      if (!applied.settled) throw new Error(applied.reason);
      return applied;
    },
    { withinMs: 30_000, everyMs: 50 },
  );
const start = async (id: string) => {
  const instance = await Instance.start(id);
  instances.push(instance);
  return instance;
};

/** One request on a connection of its own; the whole answer as text. */
function raw(text: string, port = options.settings.apps.port): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}
const get = (host: string, path = '/') => raw(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
const bodyOf = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n') + 4);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'alto-haproxy-'));
  const [apps = 0, api = 0, gatewayPort = 0, deadPort = 0] = await freePorts(4);
  gateway = await Instance.start('gateway', gatewayPort);
  instances = [gateway];
  options = {
    command: 'haproxy',
    folder,
    runFolder: folder,
    settings: {
      host: '127.0.0.1',
      apps: { name: 'apps', port: apps },
      services: [
        {
          name: 'api',
          port: api,
          targets: [
            { address: '127.0.0.1', port: gatewayPort },
            { address: '127.0.0.1', port: deadPort },
          ],
        },
      ],
      connectionsMax: 2_000,
      connectionsPerAddressMax: 2_000,
      threads: 1,
      serverTimeoutMs: 10_000,
      streamTimeoutMs: 60_000,
      slowStartMs: 0,
      accessLog: false,
    },
  };
  url = `http://127.0.0.1:${apps}/`;
  apiUrl = `http://127.0.0.1:${api}/`;
  engine = await HaproxyEngine.open(options, log);
  expect(await engine.apply(spec())).toMatchObject({ reason: 'HAProxy does not run.' });
  haproxy = await startHaproxy({ folder, ports: [apps, api] });
  await settle(spec());
});

afterEach(async () => {
  await engine.close();
  await haproxy.stop();
  await Promise.all(instances.map((instance) => instance.stop()));
  rmSync(folder, { recursive: true, force: true });
});

describe.each([true, false])('under load, keep-alive %s', (keepAlive) => {
  it('adds, drains and removes endpoints with no failed request and no reload', async () => {
    const [first, second, third] = [await start('a1'), await start('a2'), await start('a3')];
    await settle(spec(pool('a', first.endpoint())));
    const workers = haproxy.workers;
    const client = loadClient({ url, host: 'a.test', connections: 20, keepAlive, rate: 1_500 });
    for (let round = 0; round < 5; round++) {
      await settle(spec(pool('a', first.endpoint(), second.endpoint())));
      await settle(spec(pool('a', first.endpoint('draining'), second.endpoint(), third.endpoint())));
      await settle(spec(pool('a', second.endpoint('draining'), third.endpoint())));
      const before = client.report();
      await eventually(() => expect(client.report().requests - before.requests).toBeGreaterThan(150));
      const now = client.report().instances;
      // What was in flight when the removal was acknowledged may be counted after it: no more than one for each connection.
      expect((now['a1'] ?? 0) - (before.instances['a1'] ?? 0)).toBeLessThanOrEqual(20);
      expect((now['a2'] ?? 0) - (before.instances['a2'] ?? 0)).toBeLessThanOrEqual(20);
      await settle(spec(pool('a', first.endpoint(), third.endpoint('draining'))));
    }
    const report = await client.stop();
    expect(report).toEqual(unharmed);
    expect(Object.keys(report.instances).sort()).toEqual(['a1', 'a2', 'a3']);
    expect(haproxy.workers).toEqual(workers);
  });
});

it.each([true, false])(
  'spreads requests by weight, and changes weights under load, keep-alive %s',
  async (keepAlive) => {
    const [stable, canary] = [await start('stable'), await start('canary')];
    const weigh = (one: number, other: number) =>
      settle(spec(pool('a', { ...stable.endpoint(), weight: one }, { ...canary.endpoint(), weight: other })));
    await weigh(100, 0);
    const workers = haproxy.workers;
    const client = loadClient({ url, host: 'a.test', connections: 10, keepAlive, rate: 1_500 });
    const share = async (one: number, other: number) => {
      await weigh(one, other);
      client.reset();
      return eventually(() => {
        const { requests, instances } = client.report();
        expect(requests).toBeGreaterThan(400);
        return (instances['canary'] ?? 0) / requests;
      });
    };
    expect(await share(100, 0)).toBe(0);
    expect(await share(90, 10)).toBeCloseTo(0.1, 1);
    expect(await share(50, 50)).toBeCloseTo(0.5, 1);
    expect(await share(0, 100)).toBeGreaterThan(0.95);
    for (let round = 0; round < 10; round++) await weigh(round % 2 === 0 ? 100 : 0, round % 2 === 0 ? 0 : 100);
    expect(await client.stop()).toEqual(unharmed);
    expect(haproxy.workers).toEqual(workers);
  },
);

it('spreads a host over apps, redirects and changes headers, all at run time', async () => {
  const [a, b] = [await start('a1'), await start('b1')];
  const pools = [pool('a', a.endpoint()), pool('b', b.endpoint())];
  const headers = {
    request: { set: { 'x-tenant': 'a;b "c" %[src] \\' }, remove: ['user-agent'] },
    response: { set: { 'x-frame-options': 'DENY' }, remove: ['x-saw'] },
  };
  const none = { request: { set: {}, remove: [] }, response: { set: {}, remove: [] } };
  const hosts = (share: number): ProxySpec['hosts'] => [
    {
      host: 'both.test',
      shares: [
        { pool: 'a', weight: 100 - share },
        { pool: 'b', weight: share },
      ],
    },
    { host: 'both.test', path: '/old', redirect: { status: 308, to: 'https://new.test/base', keepPath: true } },
    { host: 'plain.test', redirect: { status: 302, to: '/?a=b;c%20d', keepPath: false } },
    { host: 'a.test', pool: 'a', headers: { ...none, request: headers.request } },
    { host: 'a.test', path: '/framed', pool: 'a', headers },
  ];
  await settle({ pools, hosts: hosts(10) });
  const workers = haproxy.workers;
  const client = loadClient({ url, host: 'both.test', connections: 10, keepAlive: true, rate: 1_500 });
  for (const share of [10, 50, 90]) {
    await settle({ pools, hosts: hosts(share) });
    client.reset();
    await eventually(() => expect(client.report().requests).toBeGreaterThan(500));
    const { requests, instances } = client.report();
    expect(Math.abs((instances['b1'] ?? 0) / requests - share / 100)).toBeLessThan(0.1);
  }
  expect(await client.stop()).toEqual(unharmed);
  expect(await get('both.test', '/old/page?x=1')).toMatch(
    /^HTTP\/1.1 308 [\s\S]*location: https:\/\/new.test\/base\/old\/page\?x=1\r\n/,
  );
  expect(await get('plain.test', '/any')).toMatch(/^HTTP\/1.1 302 [\s\S]*location: \/\?a=b;c%20d\r\n/);
  const answer = await raw(
    'GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: me\r\nX-Tenant: forged\r\nConnection: close\r\n\r\n',
  );
  const saw = JSON.parse(/^x-saw: (.*)$/m.exec(answer)?.[1] ?? '{}') as Record<string, string>;
  expect(saw['x-tenant']).toBe('a;b "c" %[src] \\');
  expect(saw).not.toHaveProperty('user-agent');
  const framed = await get('a.test', '/framed/page');
  expect(framed).toContain('x-frame-options: DENY\r\n');
  expect(framed).not.toContain('x-saw');
  await settle({ pools, hosts: [{ host: 'a.test', pool: 'a' }] });
  expect(await get('a.test', '/framed/page')).toContain('x-saw');
  expect(await get('both.test')).toContain('404');
  expect(haproxy.workers).toEqual(workers);
});

it('reloads once for a header that no route has changed before, with no failed request', async () => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  const workers = haproxy.workers;
  const client = loadClient({ url, host: 'a.test', connections: 10, keepAlive: true, rate: 700 });
  const changing = (value: string): ProxySpec => ({
    ...spec(),
    pools: [pool('a', a.endpoint())],
    hosts: [
      {
        host: 'a.test',
        pool: 'a',
        headers: { request: { set: {}, remove: [] }, response: { set: { 'x-version': value }, remove: [] } },
      },
    ],
  });
  await settle(changing('1'));
  expect(await get('a.test')).toContain('x-version: 1\r\n');
  const reloaded = haproxy.workers;
  expect(reloaded).not.toEqual(workers);
  await settle(changing('2'));
  expect(await get('a.test')).toContain('x-version: 2\r\n');
  expect(haproxy.workers).toEqual(reloaded);
  expect(await client.stop()).toEqual(unharmed);
});

it('serves a new app at once without a reload, and forgets one that goes', async () => {
  const [a, b] = [await start('a1'), await start('b1')];
  await settle(spec(pool('a', a.endpoint())));
  const workers = haproxy.workers;
  expect(await get('b.test')).toContain('404 Not Found');
  await settle(spec(pool('a', a.endpoint()), pool('b', b.endpoint())));
  expect(bodyOf(await get('b.test'))).toBe('b1');
  expect(bodyOf(await get('B.TEST:8080'))).toBe('b1');
  await settle(spec(pool('a', a.endpoint())));
  const gone = await get('b.test');
  expect(gone).toContain('application/problem+json');
  expect(JSON.parse(bodyOf(gone))).toMatchObject({ status: 404, code: 'not_found' });
  expect(haproxy.workers).toEqual(workers);
});

it('starts again after SIGKILL with the last known endpoints while nothing else runs', async () => {
  const a = await start('a1');
  await settle({
    ...spec(pool('a', a.endpoint())),
    hosts: [
      { host: 'a.test', pool: 'a' },
      { host: '*', pool: 'a' },
    ],
  });
  await engine.close();
  await haproxy.kill();
  await haproxy.start();
  expect(bodyOf(await get('a.test'))).toBe('a1');
  expect(bodyOf(await get('any.other'))).toBe('a1');
  engine = await HaproxyEngine.open(options, log);
});

it('goes on serving while the load balancer is away, and takes up changes made meanwhile', async () => {
  const [a, b] = [await start('a1'), await start('a2')];
  await settle(spec(pool('a', a.endpoint())));
  const client = loadClient({ url, host: 'a.test', connections: 5, keepAlive: true, rate: 500 });
  await engine.close();
  await eventually(() => expect(client.report().requests).toBeGreaterThan(100));
  engine = await HaproxyEngine.open(options, log);
  await settle(spec(pool('a', b.endpoint())));
  client.reset();
  await eventually(() => expect(client.report().instances['a2'] ?? 0).toBeGreaterThan(100));
  expect(await client.stop()).toEqual(unharmed);
});

it('reloads under load for more slots than were allocated, with no failed request', async () => {
  const many = await Promise.all(Array.from({ length: 20 }, (_, index) => start(`a${index}`)));
  const a = many[0]!;
  await settle(spec(pool('a', a.endpoint())));
  const workers = haproxy.workers;
  const clients = [true, false].map((keepAlive) =>
    loadClient({ url, host: 'a.test', connections: 10, keepAlive, rate: 700 }),
  );
  const api = loadClient({ url: apiUrl, connections: 5, keepAlive: true, rate: 200 });
  await settle(spec(pool('a', ...many.map((instance) => instance.endpoint()))));
  clients.forEach((client) => client.reset());
  await eventually(() => expect(Object.keys(clients[0]!.report().instances)).toHaveLength(20));
  expect(haproxy.workers.some((pid) => !workers.includes(pid))).toBe(true);
  for (const client of [...clients, api]) expect(await client.stop()).toEqual(unharmed);
});

it('serves more apps than were allocated, after one reload', async () => {
  const a = await start('a1');
  const apps = Array.from({ length: 300 }, (_, number) => pool(`app${number}`, a.endpoint()));
  await settle(spec(...apps));
  for (const host of ['app0.test', 'app256.test', 'app299.test']) expect(bodyOf(await get(host))).toBe('a1');
  const workers = haproxy.workers;
  await settle(spec(...apps, pool('another', a.endpoint())));
  expect(bodyOf(await get('another.test'))).toBe('a1');
  expect(haproxy.workers).toEqual(workers);
});

it('gives a slot to another endpoint only when no connection uses it', async () => {
  const [first, second] = [await start('a1'), await start('a2')];
  let release: (() => void) | undefined;
  first.server.removeAllListeners('request').on('request', (_request, response: ServerResponse) => {
    release = () => response.end('a1');
  });
  await settle(spec(pool('a', first.endpoint())));
  const slow = get('a.test');
  await eventually(() => expect(release).toBeDefined());
  await settle(spec(pool('a')));
  await settle(spec(pool('a', second.endpoint())));
  expect(JSON.parse(readFileSync(join(folder, 'layout.json'), 'utf8')).backends[0].slots).toMatchObject([
    { index: 0, id: 'a1', state: 'gone' },
    { index: 1, id: 'a2', state: 'ready' },
  ]);
  release!();
  expect(bodyOf(await slow)).toBe('a1');
  await eventually(async () => {
    await engine.apply(spec(pool('a', second.endpoint())));
    expect(JSON.parse(readFileSync(join(folder, 'layout.json'), 'utf8')).backends[0].slots).toHaveLength(1);
  });
});

it('repairs what someone else changed in the running HAProxy', async () => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  const admin = join(folder, 'admin.sock');
  await ask(admin, `set server app_0/s1 state maint; add map maps/routes.map stray.test/ app_0`);
  expect(await get('a.test')).toContain('503');
  await settle(spec(pool('a', a.endpoint())));
  expect(bodyOf(await get('a.test'))).toBe('a1');
  expect(await get('stray.test')).toContain('404');
});

/** Switches protocols as a WebSocket does; what follows is bytes in both directions, which is all that a proxy sees. */
async function openTunnel(host: string): Promise<Socket> {
  const socket = connect(options.settings.apps.port, '127.0.0.1');
  socket.write(`GET /tunnel HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`);
  expect(await nextText(socket)).toContain('101 Switching Protocols');
  return socket;
}

function echoInTunnels(server: Server): void {
  server.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('end', () => socket.end());
    socket.on('data', (data: Buffer) => socket.write(`echo ${data.toString()}`));
  });
}

const nextText = async (socket: Socket) =>
  String((await once(socket, 'data', { signal: AbortSignal.timeout(30_000) }))[0]);

it('keeps WebSockets and silent streams of events through changes, timeouts and a reload', async () => {
  const [a, b] = [await start('a1'), await start('a2')];
  echoInTunnels(a.server);
  let events: ServerResponse | undefined;
  a.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.accept === 'text/event-stream') (events = response).writeHead(200).flushHeaders();
  });
  await settle(spec(pool('a', a.endpoint())));
  await engine.close();
  engine = await HaproxyEngine.open({ ...options, settings: { ...options.settings, serverTimeoutMs: 1_000 } }, log);
  await settle(spec(pool('a', a.endpoint())));

  const tunnel = await openTunnel('a.test');
  const stream = connect(options.settings.apps.port, '127.0.0.1');
  stream.write('GET /events HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n');
  expect(await nextText(stream)).toContain('200 OK');
  const openedAt = performance.now();
  await settle(spec(pool('a', b.endpoint()), pool('b', b.endpoint())));
  expect(await engine.apply(spec(pool('a', b.endpoint())))).toMatchObject({ settled: true, busy: ['a1'] });
  const workers = haproxy.workers;
  await engine.close();
  engine = await HaproxyEngine.open(options, log);
  await eventually(async () => {
    await engine.apply(spec(pool('a', b.endpoint())));
    expect(haproxy.workers.some((pid) => !workers.includes(pid))).toBe(true);
  });
  await eventually(() => performance.now() - openedAt > 4_000);
  tunnel.write('still here');
  expect(await nextText(tunnel)).toBe('echo still here');
  events!.write('data: still here\n\n');
  expect(await nextText(stream)).toContain('data: still here');
  tunnel.destroy();
  stream.destroy();
});

it('keeps a WebSocket through many reloads', async () => {
  const a = await start('a1');
  echoInTunnels(a.server);
  await settle(spec(pool('a', a.endpoint())));
  const tunnel = await openTunnel('a.test');
  const [first] = haproxy.workers;
  const { masterSocket } = socketsIn(options.runFolder);
  // None of which concerns its app: one for each header that routes have not named before, for instance.
  for (let reload = 0; reload < 25; reload++) {
    const before = haproxy.workers;
    await eventually(() => ask(masterSocket, 'show proc'));
    // It executes itself anew and closes the connection, with or without an answer.
    await ask(masterSocket, 'reload').catch(() => '');
    await eventually(() => haproxy.workers.some((pid) => !before.includes(pid)));
  }
  tunnel.write('still here');
  expect(await nextText(tunnel)).toBe('echo still here');
  expect(haproxy.workers).toContain(first);
  tunnel.destroy();
});

it('vouches for nothing after a reload while an old process may still begin a request', async () => {
  const [a, b] = [await start('a1'), await start('a2')];
  await settle(spec(pool('a', a.endpoint())));
  const idle = connect(options.settings.apps.port, '127.0.0.1');
  idle.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
  expect(await nextText(idle)).toContain('200 OK');
  // One that waits for the rest of a request has longer than one without any.
  idle.write('GET / HTTP/1.1\r\nHost: a.te');
  await engine.close();
  engine = await HaproxyEngine.open({ ...options, settings: { ...options.settings, connectionsMax: 1_500 } }, log);
  const applied = await engine.apply(spec(pool('a', b.endpoint())));
  expect(applied).toMatchObject({ settled: false, reason: expect.stringContaining('old processes') });
  expect(applied).not.toHaveProperty('busy');
  expect(bodyOf(await get('a.test'))).toBe('a2');
  // The trap: the old process serves the connection once more, from its own list of servers.
  idle.write('st\r\n\r\n');
  expect(await nextText(idle)).toMatch(/connection: close[\s\S]*a1$/);
  await settle(spec(pool('a', b.endpoint())));
  expect(haproxy.workers).toHaveLength(1);
});

it('says so while HAProxy does not answer, and goes on when it does', async () => {
  const a = await start('a1');
  await settle(spec());
  haproxy.pause();
  expect(await engine.apply(spec(pool('a', a.endpoint())))).toMatchObject({
    settled: false,
    reason: expect.stringContaining('no answer within'),
  });
  haproxy.resume();
  await settle(spec(pool('a', a.endpoint())));
  expect(bodyOf(await get('a.test'))).toBe('a1');
});

it('counts as settled when no HAProxy has run for a while, since nothing is sent then', async () => {
  await haproxy.kill();
  await eventually(async () => {
    expect(await engine.apply(spec())).toMatchObject({ settled: false, reason: 'HAProxy does not run.' });
  });
  await settle(spec());
});

it('keeps the last good configuration when HAProxy refuses a new one', async () => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  const before = readFileSync(join(folder, 'haproxy.cfg'), 'utf8');
  await engine.close();
  engine = await HaproxyEngine.open({ ...options, settings: { ...options.settings, host: 'not an address' } }, log);
  expect(await engine.apply(spec(pool('a')))).toMatchObject({
    settled: false,
    reason: expect.stringContaining('refuses'),
  });
  expect(readFileSync(join(folder, 'haproxy.cfg'), 'utf8')).toBe(before);
  expect(bodyOf(await get('a.test'))).toBe('a1');
});

it('sends a request again only when that is safe', async () => {
  let hits: string[] = [];
  const dropping = createServer((request) => {
    hits.push(request.method ?? '');
    request.socket.destroy();
  });
  await new Promise<void>((resolve) => dropping.listen(0, '127.0.0.1', resolve));
  const { port } = dropping.address() as { port: number };
  await settle(spec(pool('a', { id: 'dropping', address: '127.0.0.1', port, state: 'ready' })));
  const post = await raw('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  expect(post).toContain('502');
  expect(JSON.parse(bodyOf(post))).toMatchObject({ status: 502, code: 'service_unavailable' });
  expect(hits).toEqual(['POST']);
  hits = [];
  const a = await start('a1');
  await settle(spec(pool('a', { id: 'dropping', address: '127.0.0.1', port, state: 'ready' }, a.endpoint())));
  for (let round = 0; round < 4; round++) expect(bodyOf(await get('a.test'))).toBe('a1');
  expect(hits).toContain('GET');
  await new Promise((resolve) => dropping.close(resolve));
});

it('answers in problems when an app is silent for too long', async () => {
  const a = await start('a1');
  await engine.close();
  engine = await HaproxyEngine.open({ ...options, settings: { ...options.settings, serverTimeoutMs: 2_000 } }, log);
  await settle(spec(pool('a', a.endpoint()), pool('empty')));
  expect(JSON.parse(bodyOf(await get('a.test', '/?after=5000')))).toMatchObject({ status: 504, code: 'timeout' });
  const nobody = await get('empty.test');
  expect(nobody).toMatch(/retry-after: 1/i);
  expect(JSON.parse(bodyOf(nobody))).toMatchObject({
    status: 503,
    code: 'service_unavailable',
    requestId: expect.any(String),
  });
});

const again = async (changed: Partial<HaproxyOptions['settings']>) => {
  await engine.close();
  engine = await HaproxyEngine.open({ ...options, settings: { ...options.settings, ...changed } }, log);
};

it('answers a browser with a page, and leaves the answers of apps alone', async () => {
  const own = createServer((_, response) => response.writeHead(503, { 'content-type': 'text/plain' }).end('mine'));
  await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve));
  const { port } = own.address() as { port: number };
  const a = await start('a1');
  await again({ serverTimeoutMs: 2_000 });
  const cutting = createServer((request) => request.socket.destroy());
  await new Promise<void>((resolve) => cutting.listen(0, '127.0.0.1', resolve));
  const cut = { ...a.endpoint(), id: 'cut', port: (cutting.address() as { port: number }).port };
  await settle(
    spec(pool('a', a.endpoint()), pool('empty'), pool('cut', cut), pool('own', { ...a.endpoint(), id: 'own', port })),
  );
  const as = (accept: string, host: string, path = '/') =>
    raw(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\nConnection: close\r\n\r\n`);
  for (const [host, status, path] of [
    ['nowhere.test', 404, '/'],
    ['cut.test', 502, '/'],
    ['empty.test', 503, '/'],
    ['a.test', 504, '/?after=5000'],
  ] as const) {
    const page = await as('text/html,*/*', host, path);
    expect(page).toMatch(new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*content-type: text/html;charset=utf-8`, 'i'));
    expect(bodyOf(page)).toMatch(/^<!doctype html>[\s\S]*request \d{16}(-\d{1,10}){2}<[\s\S]*<\/html>$/);
    expect(page).not.toMatch(/alto-error-page/i);
    expect(page).toMatch(/^vary: accept\r$/im);
    const problem = await as('*/*', host, path);
    expect(problem).toMatch(/^vary: accept\r$/im);
    expect(problem).toMatch(/content-type: application\/problem\+json/i);
    expect(JSON.parse(bodyOf(problem))).toMatchObject({
      status,
      requestId: expect.stringMatching(/^\d{16}(-\d{1,10}){2}$/),
    });
  }
  const theirs = await as('text/html', 'own.test');
  expect(theirs).toMatch(/content-type: text\/plain/);
  expect(bodyOf(theirs)).toContain('mine');
  await new Promise((resolve) => cutting.close(resolve));
  await new Promise((resolve) => own.close(resolve));
});

it('logs a line of JSON for each request when told to, without its query', async () => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  await get('a.test', '/silent');
  await again({ accessLog: true });
  await settle(spec(pool('a', a.endpoint())));
  await get('a.test', '/seen?token=secret');
  await get('a.test', `/"${'x'.repeat(3_000)}`);
  const lines = await eventually(() => {
    const seen = haproxy
      .log()
      .split('\n')
      .filter((line) => line.includes('"front":"apps"'));
    expect(seen).toHaveLength(2);
    return seen.map((line) => JSON.parse(line) as Record<string, unknown>);
  });
  expect(lines[0]).toMatchObject({ status: 200, method: 'GET', host: 'a.test', path: '/seen', server: 'app_0/s1' });
  expect(String(lines[1]!['path'])).toHaveLength(500);
  expect(haproxy.log()).not.toContain('secret');
});

it('gives an instance that comes its share step by step', async () => {
  const [old, fresh] = [await start('old'), await start('fresh')];
  await again({ slowStartMs: 15_000 });
  await settle(spec(pool('a', old.endpoint())));
  const client = loadClient({ url, host: 'a.test', connections: 5, keepAlive: true, rate: 400 });
  await settle(spec(pool('a', old.endpoint(), fresh.endpoint())));
  client.reset();
  const share = async () => {
    client.reset();
    return eventually(() => {
      const { requests, instances } = client.report();
      expect(requests).toBeGreaterThan(100);
      return (instances['fresh'] ?? 0) / requests;
    });
  };
  expect(await share()).toBeLessThan(0.35);
  await eventually(async () => expect(await share()).toBeGreaterThan(0.45), { withinMs: 60_000 });
  expect(await client.stop()).toEqual(unharmed);
});

it('lets one load balancer at a time write', async () => {
  await expect(HaproxyEngine.open(options, log)).rejects.toThrow(AnotherWriterError);
});

it('uses the instances of a service that are ready, without being told', async () => {
  const client = loadClient({ url: apiUrl, connections: 5, keepAlive: false, rate: 200 });
  await eventually(() => expect(client.report().requests).toBeGreaterThan(100));
  gateway.readiness = { status: 200, afterMs: 700 };
  await eventually(() => expect(client.report().requests).toBeGreaterThan(350));
  expect(client.report()).toEqual(unharmed);
  gateway.readiness = { status: 503, afterMs: 0 };
  await eventually(() => expect(client.report().failures['status 503']).toBeGreaterThan(0));
  gateway.readiness = { status: 200, afterMs: 0 };
  await eventually(async () =>
    expect(bodyOf(await raw('GET / HTTP/1.0\r\n\r\n', options.settings.services[0]!.port))).toBe('gateway'),
  );
  await client.stop();
});

it('tells what it found out about the targets', async () => {
  const [up, down] = [await start('a1'), await start('a2')];
  await settle(spec(pool('a', up.endpoint(), down.endpoint())));
  await down.stop();
  instances = instances.filter((instance) => instance !== down);
  await eventually(
    async () =>
      expect(await engine.targets('a')).toMatchObject([
        { endpoint: 'a1', state: 'up' },
        { endpoint: 'a2', state: 'down' },
      ]),
    { withinMs: 30_000 },
  );
});

it.each([
  ['a NUL byte in a header', 'GET / HTTP/1.1\r\nHost: a.test\r\nX-A: a\0b\r\nConnection: close\r\n\r\n'],
  ['a NUL byte in the path', 'GET /a\0b HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'],
  ['HTTP/1.1 without a host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ['HTTP/1.1 with an empty host', 'GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'],
  ['two hosts', 'GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\nConnection: close\r\n\r\n'],
  ['HTTP/1.0 with chunks', 'POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a fragment in the target', 'GET /#a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'],
])('refuses %s', async (_name, request) => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  const answer = await raw(request);
  expect(answer).toContain('HTTP/1.1 400 ');
});

it.each(['plain-id-1, x","status":"200', 'plain-id-1\r\nX-Request-Id: <script>x', 'a'.repeat(65)])(
  'takes no id of a request of which any part is not plain: %j',
  async (id) => {
    const a = await start('a1');
    await settle(spec(pool('a', a.endpoint())));
    const answer = await raw(`GET / HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: ${id}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^x-request-id: \d{16}(-\d{1,10}){2}\r$/m);
  },
);

const forged = [
  'X-Forwarded-For: 6.6.6.6\r\n',
  'X-Forwarded-Proto: https\r\n',
  'X-Forwarded-Host: b.test\r\n',
  'Forwarded: for=6.6.6.6\r\n',
  'X-Real-IP: 6.6.6.6\r\n',
  'X-Request-Id: not valid\r\n',
];
// Each alone as well, since a request is looked through only when it holds one of them.
it.each([forged.join(''), ...forged])('says for whom it forwards, whatever the client says: %j', async (headers) => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  const answer = await raw(`GET / HTTP/1.1\r\nHost: a.test\r\n${headers}Connection: close\r\n\r\n`);
  const saw = JSON.parse(/^x-saw: (.*)$/m.exec(answer)?.[1] ?? '{}') as Record<string, string>;
  expect(saw).toMatchObject({
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
    host: 'a.test',
  });
  for (const name of ['forwarded', 'x-forwarded-host', 'x-real-ip']) expect(saw).not.toHaveProperty(name);
  expect(saw['x-request-id']).toMatch(/^\d{16}(-\d{1,10}){2}$/);
  expect(answer).toContain(`x-request-id: ${saw['x-request-id']}`);
});

it('takes the id that a client gave', async () => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  const answer = await raw('GET / HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: plain-id-1\r\nConnection: close\r\n\r\n');
  expect(answer).toContain('x-request-id: plain-id-1');
});

it('names each request of a connection by another id, also those that come at once', async () => {
  const a = await start('a1');
  await settle(spec(pool('a', a.endpoint())));
  const refused = 'GET /../ HTTP/1.1\r\nHost: a.test\r\n';
  const nowhere = 'GET / HTTP/1.1\r\nHost: nowhere.test\r\n';
  const answer = await raw(`${`${nowhere}\r\n`.repeat(20)}GET / HTTP/1.1\r\nHost: a.test\r\n\r\n${refused}\r\n`);
  const ids = [...answer.matchAll(/^x-saw: .*"x-request-id":"([^"]+)"|"requestId":"([^"]+)"/gm)].map(
    ([, saw, own]) => saw ?? own,
  );
  expect(ids).toHaveLength(22);
  expect(new Set(ids).size).toBe(22);
});

it('closes a connection that no request needs before the app does, which a POST might just meet', async () => {
  const a = await start('a1');
  const { server } = a;
  server.keepAliveTimeout = 0;
  await settle(spec(pool('a', a.endpoint())));
  const post = (path: string) => `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n`;
  const clients = Array.from({ length: 4 }, () => connect(options.settings.apps.port, '127.0.0.1'));
  for (const client of clients) client.write(post('/?after=300'));
  for (const answer of await Promise.all(clients.map(nextText))) expect(answer).toContain('200 OK');
  const [patient] = clients as [Socket];
  // One that waits for the rest of a request stays for ten seconds.
  const next = post('/');
  patient.write(next.slice(0, 10));
  await eventually(async () => {
    expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  });
  patient.write(next.slice(10));
  expect(await nextText(patient)).toContain('200 OK');
  for (const client of clients) client.destroy();
});

it('keeps a connection open for longer than it says, whatever the app says', async () => {
  const a = await start('a1');
  a.server.keepAliveTimeout = 65_000;
  gateway.server.keepAliveTimeout = 65_000;
  await settle(spec(pool('a', a.endpoint())));
  const began = performance.now();
  const ask = async (host: string, port?: number) => {
    const answer = await raw(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, port);
    return { host, says: answer.match(/^keep-alive: .*(?=\r$)/gm), forMs: performance.now() - began };
  };
  const { port } = options.settings.services[0] ?? {};
  const answers = await Promise.all([ask('a.test'), ask('nowhere.test'), ask('api.test', port)]);
  for (const { says, forMs } of answers) {
    expect(says).toEqual(['keep-alive: timeout=3']);
    expect(forMs).toBeGreaterThan(3_000);
  }
});
