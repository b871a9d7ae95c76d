/**
 * What a request costs through Alto's HAProxy, through a HAProxy with the shortest configuration that does the same, and
 * to the app itself; and how long a change of a route takes to be effective. Goal: by CPU time of all that serves a
 * request, HAProxy and the app, at least 0.9 of the bare one when all get as many requests in a second. Also told:
 * HAProxy's own share, and all of it with as many requests as are answered, where a proxy that is sooner done lets the
 * apps take more of them at once.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Alto, childrenOf, freePorts, loadClient, startHaproxy } from '@alto/testing';
import { withDescendants } from './processes';
import { withAlto } from './with-alto';

const goal = 0.9;
const warmUpMs = 300;
const roundMs = 1_500;
const rounds = 11;
const idleMs = 20_000;
const connections = 21;
/** Few enough for all ways on a busy machine. */
const ratePerSecond = 2_000;
const changes = 100;
const hello = fileURLToPath(new URL('../../../../../examples/hello', import.meta.url));
const host = 'hello.default.localhost';

/** How requests get to the instances. */
interface Way {
  readonly name: string;
  /** Each gets as many of the connections. */
  readonly urls: readonly string[];
  /** Processes of the proxy; none where there is none. */
  readonly proxy: readonly number[];
}

interface Cost {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time for a request, without what is used when nobody asks for anything. */
  readonly proxyUs: number;
  readonly appsUs: number;
  readonly allUs: number;
}

/** CPU time so far, the user's and the system's, which the kernel counts for each thread in nanoseconds. */
function cpuMs(pids: readonly number[]): number {
  const threads = pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((tid) => `/proc/${pid}/task/${tid}`));
  const spentNs = threads.map((thread) => Number(readFileSync(`${thread}/schedstat`, 'utf8').split(' ')[0]));
  return spentNs.reduce((sum, ns) => sum + ns, 0) / 1_000_000;
}

async function measure({ urls, proxy }: Way, apps: readonly number[], idle: Spent, rate?: number): Promise<Cost> {
  const paced = rate === undefined ? {} : { rate: rate / urls.length };
  const each = { host, connections: Math.round(connections / urls.length), keepAlive: true, ...paced };
  const clients = urls.map((url) => loadClient({ ...each, url }));
  await pause(warmUpMs);
  for (const client of clients) client.reset();
  const spent = await spentIn(roundMs, proxy, apps);
  const reports = clients.map((client) => client.report());
  for (const client of clients) await client.stop();
  for (const { failed, failures } of reports)
    if (failed > 0) throw new Error(`${failed} requests to ${urls.join(', ')} failed: ${JSON.stringify(failures)}`);
  const perSecond = reports.reduce((sum, report) => sum + report.perSecond, 0);
  const perRequestUs = (share: number) => (share * 1_000_000) / perSecond;
  const proxyUs = perRequestUs(spent.proxy - idle.proxy);
  const appsUs = perRequestUs(spent.apps - idle.apps);
  return {
    perSecond,
    p50Ms: median(reports.map(({ latencyMs }) => latencyMs.p50)),
    p99Ms: Math.max(...reports.map(({ latencyMs }) => latencyMs.p99)),
    proxyUs,
    appsUs,
    allUs: proxyUs + appsUs,
  };
}

/** Shares of a processor. */
interface Spent {
  readonly proxy: number;
  readonly apps: number;
}

async function spentIn(ms: number, proxy: readonly number[], apps: readonly number[]): Promise<Spent> {
  const before = { proxy: cpuMs(proxy), apps: cpuMs(apps) };
  const startedAt = performance.now();
  await pause(ms);
  const tookMs = performance.now() - startedAt;
  return { proxy: (cpuMs(proxy) - before.proxy) / tookMs, apps: (cpuMs(apps) - before.apps) / tookMs };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

/** In turns, and each time in another order, so that whatever else the machine does meets all of them. */
async function measureAll(
  ways: readonly Way[],
  apps: readonly number[],
  idle: ReadonlyMap<Way, Spent>,
  rate?: number,
): Promise<Map<Way, Cost[]>> {
  const costs = new Map(ways.map((way) => [way, [] as Cost[]]));
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < ways.length; turn++) {
      const way = ways[(round + turn) % ways.length]!;
      costs.get(way)!.push(await measure(way, apps, idle.get(way)!, rate));
    }
  return costs;
}

async function idleOf(ways: readonly Way[], apps: readonly number[]): Promise<Map<Way, Spent>> {
  const spent = await Promise.all(ways.map(({ proxy }) => spentIn(idleMs, proxy, apps)));
  const idle = new Map(ways.map((way, index) => [way, spent[index]!]));
  for (const way of ways.filter(({ proxy }) => proxy.length > 0))
    console.log(`without requests ${way.name}: ${(idle.get(way)!.proxy * 100).toFixed(1)} % of a processor`);
  return idle;
}

function tell({ name }: Way, costs: readonly Cost[]): void {
  const of = (key: keyof Cost) => median(costs.map((cost) => cost[key]));
  console.log(
    `${name.padEnd(34)} ${of('perSecond').toFixed(0).padStart(6)}/s  p50 ${of('p50Ms').toFixed(2)} ms  ` +
      `p99 ${of('p99Ms').toFixed(2)} ms  CPU of all ${of('allUs').toFixed(1)} µs: ` +
      `HAProxy ${of('proxyUs').toFixed(1)}, apps ${of('appsUs').toFixed(1)}`,
  );
}

/** What the first costs against the second, in the median of their rounds. */
function share(of: 'allUs' | 'proxyUs', first: readonly Cost[], second: readonly Cost[]): number {
  return median(first.map((cost, round) => cost[of] / second[round]![of]));
}

interface Bare {
  /** As many as HAProxy finds fit unless given. */
  readonly threads?: number;
  /** Sends a request without effects again that meets a closing connection, as Alto does: half of no dropped request. */
  readonly repeats?: boolean;
}

const repeating = `  option redispatch 1
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless METH_GET or { method HEAD OPTIONS }
`;

/** All use connections again as HAProxy does unless told otherwise (`http-reuse safe`), over the same instances. */
function bareConfiguration(port: number, appPorts: readonly number[], { threads, repeats }: Bare): string {
  const servers = appPorts.map((appPort, index) => `  server s${index} 127.0.0.1:${appPort} check\n`);
  return `${threads === undefined ? '' : `global\n  nbthread ${threads}\n`}defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend apps
  bind 127.0.0.1:${port}
  default_backend app
backend app
  balance roundrobin
${repeats ? repeating : ''}${servers.join('')}`;
}

/** @param goal what the bare HAProxy, which logs nothing, may cost at least of what Alto's does at an equal rate */
async function compare(alto: Alto, goal?: number): Promise<void> {
  const { workloads } = await alto.status();
  const instances = workloads.filter(({ kind, phase }) => kind === 'instance' && phase === 'ready');
  const apps = instances.flatMap(({ pid }) => (pid === null ? [] : withDescendants(pid)));
  const appPorts = instances.flatMap(({ ports }) => Object.values(ports).slice(0, 1));
  const altos = childrenOf(await alto.pid('haproxy'));
  const threads = threadsOf(altos[0]!);
  const bare = await startBare('through a bare HAProxy', appPorts, {});
  const samePromise = await startBare(`… that repeats, threads: ${threads}`, appPorts, { threads, repeats: true });
  const direct = { name: 'the app itself', urls: appPorts.map((port) => `http://127.0.0.1:${port}/`), proxy: [] };
  const through = { name: "through Alto's HAProxy", urls: [`${alto.appsUrl}/`], proxy: altos };
  const ways = [direct, bare.way, through, samePromise.way];
  try {
    const idle = await idleOf(ways, apps);
    for (const rate of [ratePerSecond, undefined]) {
      const costs = await measureAll(ways, apps, idle, rate);
      console.log(rate === undefined ? 'as many requests as are answered' : `${rate} requests a second`);
      for (const way of ways) tell(way, costs.get(way)!);
      const [bares, altosOwn, sames] = [bare.way, through, samePromise.way].map((way) => costs.get(way)!);
      judge(bares!, altosOwn!, sames!, rate === undefined ? undefined : goal);
    }
  } finally {
    await bare.stop();
    await samePromise.stop();
  }
}

function judge(bare: readonly Cost[], alto: readonly Cost[], samePromise: readonly Cost[], goal?: number): void {
  const all = share('allUs', bare, alto);
  const missed = goal !== undefined && all < goal;
  const verdict = goal === undefined ? '' : `; goal ${goal}: ${missed ? 'MISSED' : 'met'}`;
  console.log(
    `CPU against the bare one: of all ${all.toFixed(2)}${verdict}; of HAProxy alone ` +
      `${share('proxyUs', bare, alto).toFixed(2)}, against one that repeats requests alike, with as many threads, ` +
      share('proxyUs', samePromise, alto).toFixed(2),
  );
  if (missed) process.exitCode = 1;
}

async function startBare(name: string, appPorts: readonly number[], how: Bare) {
  const folder = mkdtempSync(join(tmpdir(), 'alto-bare-'));
  const [port = 0] = await freePorts(1);
  writeFileSync(join(folder, 'haproxy.cfg'), bareConfiguration(port, appPorts, how));
  const server = await startHaproxy({ folder });
  const stop = async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { way: { name, urls: [`http://127.0.0.1:${port}/`], proxy: server.workers }, stop };
}

function threadsOf(pid: number): number {
  return Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** From the request that changes a route to the first answer by the new one. */
async function effective(alto: Alto): Promise<void> {
  const took: number[] = [];
  for (let change = 0; change < changes; change++) {
    const to = `/${change}`;
    const startedAt = performance.now();
    await alto.client.routes.put({
      project: 'default',
      route: 'bench',
      host: '127.0.0.1',
      path: '/bench',
      redirect: { to, status: 302 },
    });
    for (;;) {
      const answer = await fetch(`${alto.appsUrl}/bench`, { redirect: 'manual' });
      await answer.arrayBuffer();
      if (answer.headers.get('location') === to) break;
    }
    took.push(performance.now() - startedAt);
  }
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))]!.toFixed(0);
  console.log(
    `change of a route → effective in the proxy: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, of ${changes} changes`,
  );
}

for (const accessLog of ['off', 'on']) {
  console.log(`access log ${accessLog}`);
  // Without a sandbox the bare HAProxy and the client reach the instances where Alto's HAProxy does.
  await withAlto({ env: { ALTO_PROXY_ACCESS_LOG: accessLog, ALTO_SANDBOX: 'off' } }, async (alto) => {
    await alto.command('deploy', hello, '--project', 'default');
    await compare(alto, accessLog === 'off' ? goal : undefined);
    if (accessLog === 'off') await effective(alto);
  });
}
