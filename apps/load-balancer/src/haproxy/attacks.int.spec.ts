/**
 * What nobody sends in good faith, as bytes on a connection: HAProxy refuses it, or what it passes on can be understood
 * in one way alone.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@alto/platform';
import {
  eventually,
  freePorts,
  type HaproxyServer,
  hiddenPaths,
  loadClient,
  nobody,
  normalisedForms,
  refusedForms,
  sendBytes,
  SlowClients,
  startHaproxy,
  statusesOf,
} from '@alto/testing';
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
      expect(await sendBytes('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n', { port })).toContain('200'),
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

describe.each(['apps', 'api'] as const)('at the port of the %s', (front) => {
  it.each(
    Object.entries(front === 'apps' ? { ...refusedForms(nobody), ...hiddenPaths(nobody) } : refusedForms(nobody)),
  )('refuses %s', async (_name, text) => {
    const answer = await sendBytes(text, { port: ports[front] });
    expect(backend).toMatchObject({ requests: [], violations: [] });
    expect([[], [400], [405], [422]]).toContainEqual(statusesOf(answer));
  });

  it.each(Object.entries(normalisedForms(nobody)))(
    'passes %s on so that it is understood in one way, or refuses it',
    async (_name, text) => {
      const answer = await sendBytes(text, { port: ports[front] });
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

it.each(['/.well-known/a', '/a..b/..c', '/a/...', '/a?next=/../b'])('passes %s to an app', async (path) => {
  await sendBytes(`GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`, { port: ports.apps }, 1);
  expect(backend.requests).toMatchObject([{ target: path }]);
});

describe('clients that are slow on purpose', () => {
  const beginning = 'GET / HTTP/1.1\r\nHost: a.test\r\n';

  it('are cut, and others are answered as before meanwhile', async () => {
    const { apps: port } = ports;
    const client = loadClient({
      url: `http://127.0.0.1:${port}/`,
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
    const heads = new SlowClients({ port, count: 100, beginning, drip: 'X-A: b\r\n', everyMs: 500 });
    const post = 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n';
    const bodies = new SlowClients({ port, count: 60, beginning: post });
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
    const drip = `X-A: ${'a'.repeat(1_000)}\r\n`;
    const endless = new SlowClients({ port: ports.apps, count: 1, beginning, drip, everyMs: 1 });
    await endless.ended;
    endless.stop();
    expect(backend.requests).toEqual([]);
  }, 30_000);

  it('cannot take all connections from one address', async () => {
    const { apps: port } = ports;
    const many = new SlowClients({ port, count: 300, beginning });
    await eventually(() => expect(many.open.length).toBe(200), { withinMs: 8_000 });
    const asked = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
    expect(await sendBytes(asked, { port }, 1)).toContain('200');
    many.stop();
  }, 30_000);
});
