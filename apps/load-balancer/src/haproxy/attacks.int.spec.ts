/**
 * What nobody sends in good faith, as bytes on a connection: HAProxy refuses it, or what it passes on can be understood
 * in one way alone. `/smuggled` stands for the request that an attacker hides in another.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@alto/platform';
import { eventually, freePorts, type HaproxyServer, loadClient, startHaproxy } from '@alto/testing';
import { HaproxyEngine } from './haproxy.engine';
import { StrictBackend } from './strict-backend.fake';

const log = createLog({ level: 'silent', service: 'test', instance: 'i', version: '0' });
let folder: string;
let engine: HaproxyEngine;
let haproxy: HaproxyServer;
let backend: StrictBackend;
let ports: { apps: number; api: number };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'alto-attacks-'));
  backend = await StrictBackend.start();
  const [apps = 0, api = 0] = await freePorts(2);
  ports = { apps, api };
  const address = { address: '127.0.0.1', port: backend.port };
  engine = await HaproxyEngine.open(
    {
      command: 'haproxy',
      folder,
      runFolder: folder,
      settings: {
        host: '127.0.0.1',
        apps: { name: 'apps', port: apps },
        services: [{ name: 'api', port: api, targets: [address] }],
        connectionsMax: 1_000,
        connectionsPerAddressMax: 200,
        threads: 1,
        serverTimeoutMs: 3_000,
        streamTimeoutMs: 60_000,
        slowStartMs: 0,
        accessLog: false,
      },
    },
    log,
  );
  const spec = {
    pools: [{ id: 'a', endpoints: [{ id: 'a1', ...address, state: 'ready' as const }] }],
    hosts: [
      { host: 'a.test', pool: 'a' },
      { host: '*', pool: 'a' },
    ],
  };
  await engine.apply(spec);
  haproxy = await startHaproxy({ folder });
  await eventually(async () => (await engine.apply(spec)).settled, { withinMs: 30_000 });
  for (const port of [apps, api]) {
    await eventually(async () =>
      expect(await send('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n', port)).toContain('200'),
    );
  }
}, 60_000);
afterAll(async () => {
  await engine.close();
  await haproxy.stop();
  await backend.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => backend.forget());

const answersWithinMs = 2_000;
/** After an answer came, another that should not come would. */
const graceMs = 150;

/** Sends bytes and then nothing. @returns all that came back until HAProxy closed, or fell silent */
function send(text: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    socket.setTimeout(answersWithinMs, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      socket.setTimeout(graceMs);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n';
const post = (headers: string, body: string) => `POST /first HTTP/1.1\r\nHost: a.test\r\n${headers}\r\n\r\n${body}`;
const chunked = (body: string, extra = '') => post(`Transfer-Encoding: chunked${extra}`, body);
const get = (line: string, headers = 'Host: a.test') => `${line}\r\n${headers}\r\n\r\n`;

/** Refused with 400, or its connection is cut: nothing of it reaches an instance. */
const refused: Record<string, string> = {
  'two lengths': post('Content-Length: 3\r\nContent-Length: 4', 'abcd'),
  'two lengths in one header': post('Content-Length: 3, 4', 'abcd'),
  'a length with a sign': post('Content-Length: +3', 'abc'),
  'a length below zero': post('Content-Length: -1', 'abc'),
  'a length in base 16': post('Content-Length: 0x3', 'abc'),
  'a length with zeros before it': post('Content-Length: 003', 'abc'),
  'a length that overflows': post('Content-Length: 18446744073709551619', 'abc'),
  'an empty length': post('Content-Length:', 'abc'),
  'an unknown encoding': post('Transfer-Encoding: xchunked', 'abc'),
  'an encoding after chunked': post('Transfer-Encoding: chunked, identity', `0\r\n\r\n${smuggled}`),
  'an encoding before chunked': post('Transfer-Encoding: identity, chunked', `0\r\n\r\n${smuggled}`),
  'chunked in capitals': post('TRANSFER-ENCODING: CHUNKED', `0\r\n\r\n${smuggled}`),
  'a tunnel': get('CONNECT a.test:443 HTTP/1.1'),
  'an echo': get('TRACE /first HTTP/1.1'),
  'HTTP/2 without asking': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'HTTP/0.9': 'GET /first\r\n\r\n',
  'chunked twice': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', `0\r\n\r\n`),
  'chunked in quotes': post('Transfer-Encoding: "chunked"', `0\r\n\r\n${smuggled}`),
  'chunked with a parameter': post('Transfer-Encoding: chunked;q=1', `0\r\n\r\n${smuggled}`),
  'chunked after a vertical tab': post('Transfer-Encoding: \x0bchunked', `0\r\n\r\n${smuggled}`),
  'a space before the colon': post('Transfer-Encoding : chunked', `0\r\n\r\n${smuggled}`),
  'a length with a space before the colon': post('Content-Length : 3', 'abc'),
  'a header name with a NUL': post('X-\0A: b', ''),
  'a header value with a NUL': post('X-A: a\0b', ''),
  'a header without a colon': post('X-A', ''),
  'a header without a name': post(': a', ''),
  'a header with a bare carriage return': post('X-A: a\rTransfer-Encoding: chunked', `0\r\n\r\n${smuggled}`),
  'a chunk size with a sign': chunked('+3\r\nabc\r\n0\r\n\r\n'),
  'a chunk size in the wrong base': chunked('0x3\r\nabc\r\n0\r\n\r\n'),
  'a chunk size below zero': chunked('-1\r\nabc\r\n0\r\n\r\n'),
  'a chunk size that overflows': chunked('ffffffffffffffff3\r\nabc\r\n0\r\n\r\n'),
  'a chunk that is longer than its size': chunked(`3\r\nabcdef\r\n0\r\n\r\n`),
  'chunks with HTTP/1.0': `POST /first HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  'no host': get('GET /first HTTP/1.1', 'X-A: b'),
  'an empty host': get('GET /first HTTP/1.1', 'Host:'),
  'two hosts': get('GET /first HTTP/1.1', 'Host: a.test\r\nHost: b.test'),
  'another host in the target': get('GET http://b.test/first HTTP/1.1'),
  'a host with a user': get('GET /first HTTP/1.1', 'Host: a.test@b.test'),
  'a host with a path': get('GET /first HTTP/1.1', 'Host: a.test/b'),
  'two hosts in one': get('GET /first HTTP/1.1', 'Host: a.test, b.test'),
  'a NUL in the target': get('GET /fi\0rst HTTP/1.1'),
  'a space in the target': get('GET /fi rst HTTP/1.1'),
  'a fragment in the target': get('GET /first#x HTTP/1.1'),
  'a target without a slash': get('GET first HTTP/1.1'),
  'a method with a NUL': get('G\0T /first HTTP/1.1'),
  'another protocol': get('GET /first FTP/1.1'),
  'a header of 20 KiB': post(`X-A: ${'a'.repeat(20_480)}`, ''),
  'a target of 20 KiB': get(`GET /${'a'.repeat(20_480)} HTTP/1.1`),
  'five hundred headers': post(Array.from({ length: 500 }, (_, number) => `X-${number}: a`).join('\r\n'), ''),
};

/** An app that resolved them would serve a path that no route meant; the services behind other ports do not. */
const hiddenPaths: Record<string, string> = {
  'a way out of a folder': get('GET /a/../first HTTP/1.1'),
  'a hidden way out of a folder': get('GET /a/%2e%2E/first HTTP/1.1'),
  'a long way out of a folder': get('GET /a/..%2f../first HTTP/1.1'),
};

/** May be passed on, understood in one way: as so many requests at most, never as one hidden in another. */
const normalised: Record<string, string> = {
  'a length and chunks': post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  'chunks and a length': post(
    'Transfer-Encoding: chunked\r\nContent-Length: 4',
    `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
  ),
  'two lengths that agree': post('Content-Length: 3\r\nContent-Length: 3', 'abc'),
  'bare line feeds': `POST /first HTTP/1.1\nHost: a.test\nContent-Length: ${smuggled.length}\n\n${smuggled}`,
  'a folded header': post('X-A: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 3', 'abc'),
  'a folded encoding': post(
    `Transfer-Encoding:\r\n chunked`,
    `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
  ),
  'an encoding that ends in spaces': post(
    'Transfer-Encoding: \t chunked \t',
    `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
  ),
  'an encoding spelt with an underscore': post(
    `Transfer_Encoding: chunked\r\nContent-Length: ${smuggled.length}`,
    smuggled,
  ),
  'a chunk with an extension': chunked('3;a=b\r\nabc\r\n0\r\n\r\n'),
  'a chunk with an extension that hides a line feed': chunked('3;a\nb\r\nabc\r\n0\r\n\r\n'),
  'chunks that end in bare line feeds': chunked('3\nabc\n0\n\n'),
  'a trailer that says how long the body was': chunked('0\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n'),
  'a body to a request that usually has none': `GET /first HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  'a length that the connection does not keep': post(`Content-Length: ${smuggled.length + 10}`, smuggled),
  'a length hidden as belonging to the connection': post(
    `Connection: Content-Length\r\nContent-Length: ${smuggled.length}`,
    smuggled,
  ),
  'a host hidden as belonging to the connection': get('GET /first HTTP/1.1', 'Host: a.test\r\nConnection: close, Host'),
  'an upgrade to HTTP/2': get(
    'GET /first HTTP/1.1',
    'Host: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
  ),
  'a later version': get('GET /first HTTP/1.7'),
  'every target': get('OPTIONS * HTTP/1.1'),
};
const statusesOf = (answer: string) => [...answer.matchAll(/^HTTP\/1\.1 (\d+) /gm)].map(([, status]) => Number(status));

describe.each(['apps', 'api'] as const)('at the port of the %s', (front) => {
  it.each(Object.entries(front === 'apps' ? { ...refused, ...hiddenPaths } : refused))(
    'refuses %s',
    async (_name, text) => {
      const answer = await send(text, ports[front]);
      expect(backend).toMatchObject({ requests: [], violations: [] });
      expect([[], [400], [405], [422]]).toContainEqual(statusesOf(answer));
    },
  );

  it.each(Object.entries(normalised))(
    'passes %s on so that it is understood in one way, or refuses it',
    async (_name, text) => {
      const answer = await send(text, ports[front]);
      expect(backend.violations).toEqual([]);
      expect(backend.requests.length).toBeLessThanOrEqual(1);
      for (const { target, headers } of backend.requests) {
        expect(target).not.toContain('smuggled');
        expect(headers.filter(([name]) => ['upgrade', 'http2-settings'].includes(name))).toEqual([]);
      }
      expect(statusesOf(answer).length).toBeLessThanOrEqual(1);
    },
  );
});

/** Another address than that of everybody else in these tests. */
const attacker = '127.0.0.2';

/** Connections that send a byte now and then. `ended` resolves with how long each lasted. */
class SlowClients {
  private readonly sockets: Socket[];
  private readonly timer: NodeJS.Timeout;
  readonly ended: Promise<number[]>;

  constructor(count: number, beginning: string, drip: string, everyMs: number) {
    const startedAt = performance.now();
    this.sockets = Array.from({ length: count }, () => {
      const socket = connect({ port: ports.apps, host: '127.0.0.1', localAddress: attacker });
      socket.on('error', () => undefined);
      socket.on('data', () => undefined);
      socket.write(beginning);
      return socket;
    });
    this.timer = setInterval(() => this.open.forEach((socket) => socket.write(drip)), everyMs);
    this.ended = Promise.all(
      this.sockets.map(
        (socket) => new Promise<number>((resolve) => socket.on('close', () => resolve(performance.now() - startedAt))),
      ),
    );
  }

  get open(): Socket[] {
    return this.sockets.filter((socket) => !socket.destroyed && socket.writable);
  }

  stop(): void {
    clearInterval(this.timer);
    this.sockets.forEach((socket) => socket.destroy());
  }
}

describe('clients that are slow on purpose', () => {
  it('are cut, and others are answered as before meanwhile', async () => {
    const client = loadClient({
      url: `http://127.0.0.1:${ports.apps}/`,
      host: 'a.test',
      connections: 4,
      keepAlive: false,
      rate: 100,
    });
    const p50Ms = async () => {
      client.reset();
      await eventually(() => expect(client.report().requests).toBeGreaterThan(150));
      return client.report().latencyMs.p50;
    };
    const before = await p50Ms();
    const heads = new SlowClients(100, 'GET / HTTP/1.1\r\nHost: a.test\r\n', 'X-A: b\r\n', 500);
    const bodies = new SlowClients(60, 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n', '', 60_000);
    // Whatever else this machine does is over soon; the slow clients go on.
    await eventually(async () => expect(await p50Ms()).toBeLessThan(before * 5 + 20));
    const lasted = await heads.ended;
    for (const ms of lasted) expect(ms).toBeGreaterThan(5_000);
    await bodies.ended;
    expect(await client.stop()).toMatchObject({ failed: 0 });
    heads.stop();
    bodies.stop();
  }, 60_000);

  it('are cut when their headers have no end', async () => {
    const endless = new SlowClients(1, 'GET / HTTP/1.1\r\nHost: a.test\r\n', `X-A: ${'a'.repeat(1_000)}\r\n`, 1);
    await endless.ended;
    endless.stop();
    expect(backend.requests).toEqual([]);
  }, 30_000);

  it('cannot take all connections from one address', async () => {
    const many = new SlowClients(300, 'GET / HTTP/1.1\r\nHost: a.test\r\n', '', 60_000);
    await eventually(() => expect(many.open.length).toBe(200), { withinMs: 8_000 });
    expect(await send('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n', ports.apps)).toContain('200');
    many.stop();
  }, 30_000);
});
