import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBalancerOperations, newId, type Route } from '@alto/contracts';
import {
  callerOf,
  createDatabase,
  eventually,
  freePorts,
  type HaproxyServer,
  loadClient,
  type NatsServer,
  newTestProject,
  startHaproxy,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { loadBalancerConfig } from '../config';
import { loadBalancerDatabase } from '../database';
import { LoadBalancerModule } from '../load-balancer.module';
import { FakeCompute } from './compute.fake';

const { routes } = loadBalancerOperations;
const project = newTestProject();
const host = 'shop.example.com';

/** Ids of instances that answer 500. */
const failing = new Set<string>();
let instances: { id: string; server: Server; port: number }[];
let nats: NatsServer;
let database: TestDatabase;
let folder: string;
let url: string;
let service: TestService;
let compute: FakeCompute;
let haproxy: HaproxyServer;

async function instance() {
  const id = newId('instance');
  const server = createServer((_, response) => {
    response.writeHead(failing.has(id) ? 500 : 200).end(id);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { id, server, port: (server.address() as AddressInfo).port };
}

async function start(settings: Record<string, string> = {}): Promise<void> {
  const [apps = 0, api = 0, s3 = 0] = await freePorts(3);
  url = `http://127.0.0.1:${apps}/`;
  service = await startTestService(
    { name: 'load-balancer', module: LoadBalancerModule, config: loadBalancerConfig, database: loadBalancerDatabase },
    {
      natsUrl: nats.url,
      databaseUrl: database.url,
      settings: {
        ALTO_HAPROXY_DIR: folder,
        ALTO_APPS_PORT: `${apps}`,
        ALTO_API_PORT: `${api}`,
        ALTO_S3_PORT: `${s3}`,
        ALTO_PROXY_SYNC_INTERVAL_MS: '300',
        ALTO_PROXY_WATCH_INTERVAL_MS: '200',
        ALTO_PROXY_SLOW_START_MS: '500',
        ...settings,
      },
    },
  );
  await eventually(async () => expect((await fetch(`${service.url}/readyz`)).status).toBe(200), { withinMs: 20_000 });
  haproxy = await startHaproxy({ folder });
  const set = { app: newId('app'), appName: 'shop', project: project.id, projectName: project.name, deleted: false };
  const endpoints = instances.map(({ id, port }) => ({
    instance: id,
    ip: '127.0.0.1',
    port,
    state: 'ready' as const,
  }));
  compute.tell({ ...set, generation: 0, endpoints });
  const caller = callerOf(project, 'developer');
  await service.call(routes.put, { project: project.id, route: 'shop', host, app: 'shop' }, caller);
}

const target = async (id: string): Promise<Route['status']['targets'][number]> => {
  const route = await service.call(routes.get, { project: project.id, route: 'shop' }, callerOf(project, 'viewer'));
  return route.status.targets.find((one) => one.instance === id)!;
};

beforeEach(async () => {
  failing.clear();
  instances = [await instance(), await instance(), await instance()];
  nats = await startNats();
  database = await createDatabase({ name: 'load_balancer', ...loadBalancerDatabase });
  folder = mkdtempSync(join(tmpdir(), 'alto-outliers-'));
  compute = await FakeCompute.start(nats.url);
});
afterEach(async () => {
  await service.stop();
  await compute.stop();
  await haproxy.stop();
  await nats.stop();
  await database.drop();
  for (const { server } of instances) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(folder, { recursive: true, force: true });
});

it('takes out an instance that answers 500, says so, tells compute, and lets it come back', async () => {
  await start({ ALTO_PROXY_EJECTION_BASE_MS: '4000' });
  const all = instances.map(({ id }) => id);
  const [bad = '', good = ''] = all;
  const client = loadClient({ url, host, connections: 4, keepAlive: true, rate: 200 });
  await eventually(() => expect(Object.keys(client.report().instances)).toEqual(expect.arrayContaining(all)), {
    withinMs: 20_000,
  });
  client.reset();
  failing.add(bad);
  await eventually(() => expect(client.report().failed).toBeGreaterThan(0));
  await eventually(async () =>
    expect(await target(bad)).toMatchObject({
      state: 'out',
      reason: expect.stringMatching(
        /^It gets no requests until 20\S+Z: \d+ of its last \d+ requests failed, and 0 of \d+ of the others'\.$/,
      ),
    }),
  );
  expect(await target(good)).toMatchObject({ state: 'ready' });
  const clean = async () => {
    client.reset();
    await eventually(() => expect(client.report().requests).toBeGreaterThan(60));
    expect(client.report().failed).toBe(0);
  };
  await eventually(clean, { withinMs: 30_000 });
  failing.clear();
  await eventually(() => expect(compute.traffic.get(bad)?.failures).toBeGreaterThan(0));
  expect(compute.traffic.get(good)).toMatchObject({ failures: 0 });
  await eventually(() => expect(client.report().instances[bad] ?? 0).toBeGreaterThan(20), { withinMs: 30_000 });
  await eventually(async () => expect(await target(bad)).toMatchObject({ state: 'ready' }));
  await client.stop();
});

it('leaves an app alone that fails everywhere', async () => {
  await start();
  for (const { id } of instances) failing.add(id);
  const client = loadClient({ url, host, connections: 4, keepAlive: true, rate: 200 });
  const all = async (state: string) => {
    for (const { id } of instances) expect(await target(id)).toMatchObject({ state });
  };
  await eventually(
    () => expect([...compute.traffic.values()].filter(({ failures }) => failures > 50)).toHaveLength(3),
    {
      withinMs: 30_000,
    },
  );
  await all('ready');
  await client.stop();
});

it('tells compute each look at how instances answer while compute wants it, and nothing before and after', async () => {
  // By itself it would neither look nor report within this test.
  await start({ ALTO_PROXY_SYNC_INTERVAL_MS: '600000', ALTO_PROXY_WATCH_INTERVAL_MS: '600000' });
  const client = loadClient({ url, host, connections: 4, keepAlive: true, rate: 200 });
  // Nudged again and again, since one nudge may be answered too late, and nothing else makes it ask.
  await eventually(() => {
    compute.nudge();
    expect(client.report().requests).toBeGreaterThan(20);
  });
  expect(compute.traffic.size).toBe(0);
  compute.reportWithinMs = 100;
  await eventually(() => {
    compute.nudge();
    expect(compute.traffic.size).toBeGreaterThan(0);
  });
  const told = () => [...compute.traffic.values()].reduce((sum, { requests }) => sum + requests, 0);
  for (let times = 0; times < 5; times++) {
    const [reports, requests] = [compute.reports, told()];
    await eventually(() => expect(compute.reports).toBeGreaterThan(reports));
    await eventually(() => expect(told()).toBeGreaterThan(requests));
  }
  compute.reportWithinMs = undefined;
  const reports = compute.reports;
  await eventually(() => expect(compute.reports).toBeGreaterThan(reports));
  const [last, answered] = [compute.reports, client.report().requests];
  // As long as ten more reports would have taken.
  await eventually(() => expect(client.report().requests).toBeGreaterThan(answered + 200));
  // What was under way when it was told, and no more.
  expect(compute.reports).toBeLessThanOrEqual(last + 2);
  await client.stop();
});
