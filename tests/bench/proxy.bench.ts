/**
 * What a request costs through Alto's HAProxy against a HAProxy with the shortest configuration that does the same, and
 * against the app itself; and how long a change of a route takes to be effective. Goal: at least 0.9 of the bare one,
 * by CPU time of HAProxy for each request.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Alto, childrenOf, freePorts, loadClient, startAlto, startHaproxy } from '@alto/testing';

const goal = 0.9;
const roundMs = 3_000;
const rounds = 3;
const changes = 100;
const hello = fileURLToPath(new URL('../../../../../examples/hello', import.meta.url));
const host = 'hello.default.localhost';

interface Cost {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time of the proxy; none when there is no proxy. */
  readonly cpuUs: number;
}

/** User and system time so far, in ticks of 10 ms. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function measure(url: string, pids: readonly number[]): Promise<Cost> {
  const client = loadClient({ url, host, connections: 20, keepAlive: true });
  await pause(500);
  client.reset();
  const before = pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  await pause(roundMs);
  const spentMs = pids.reduce((sum, pid) => sum + cpuMs(pid), 0) - before;
  const { requests, failed, failures, perSecond, latencyMs } = client.report();
  await client.stop();
  if (failed > 0) throw new Error(`${failed} requests to ${url} failed: ${JSON.stringify(failures)}`);
  return { perSecond, p50Ms: latencyMs.p50, p99Ms: latencyMs.p99, cpuUs: (spentMs * 1_000) / requests };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

function tell(name: string, costs: readonly Cost[]): number {
  const of = (key: keyof Cost) => median(costs.map((cost) => cost[key]));
  console.log(
    `${name.padEnd(34)} ${of('perSecond').toFixed(0).padStart(6)}/s  p50 ${of('p50Ms').toFixed(2)} ms  ` +
      `p99 ${of('p99Ms').toFixed(2)} ms  CPU ${of('cpuUs').toFixed(1)} µs`,
  );
  return of('cpuUs');
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

async function compare(alto: Alto): Promise<void> {
  const { workloads } = await alto.status();
  const appPorts = workloads
    .filter(({ kind, phase }) => kind === 'instance' && phase === 'ready')
    .flatMap(({ ports }) => Object.values(ports).slice(0, 1));
  const altos = childrenOf(await alto.pid('haproxy'));
  const threads = threadsOf(altos[0]!);
  const bare = await startBare(appPorts, {});
  const samePromise = await startBare(appPorts, { threads, repeats: true });
  const costs = { direct: [] as Cost[], bare: [] as Cost[], samePromise: [] as Cost[], alto: [] as Cost[] };
  const idleShare = await idle(altos);
  try {
    for (let round = 0; round < rounds; round++) {
      costs.direct.push(await measure(`http://127.0.0.1:${appPorts[0]}/`, []));
      costs.bare.push(await measure(bare.url, bare.server.workers));
      costs.alto.push(await measure(`${alto.appsUrl}/`, altos));
      costs.samePromise.push(await measure(samePromise.url, samePromise.server.workers));
    }
  } finally {
    await bare.stop();
    await samePromise.stop();
  }
  tell('the app itself', costs.direct);
  const bareUs = tell('through a bare HAProxy', costs.bare);
  const sameUs = tell(`… that repeats, threads: ${threads}`, costs.samePromise);
  const altoUs = tell("through Alto's HAProxy", costs.alto);
  const share = bareUs / altoUs;
  console.log(
    `CPU against the bare one: ${share.toFixed(2)}; goal ${goal}: ${share >= goal ? 'met' : 'MISSED'}; ` +
      `against one that repeats requests alike, with as many threads: ${(sameUs / altoUs).toFixed(2)}`,
  );
  console.log(`CPU of Alto's HAProxy without requests: ${(idleShare * 100).toFixed(1)} % of a processor`);
  if (share < goal) process.exitCode = 1;
}

async function startBare(appPorts: readonly number[], how: Bare) {
  const folder = mkdtempSync(join(tmpdir(), 'alto-bare-'));
  const [port = 0] = await freePorts(1);
  writeFileSync(join(folder, 'haproxy.cfg'), bareConfiguration(port, appPorts, how));
  const server = await startHaproxy({ folder });
  const stop = async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}/`, server, stop };
}

function threadsOf(pid: number): number {
  return Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** @returns share of a processor that these processes use while nobody asks for anything */
async function idle(pids: readonly number[]): Promise<number> {
  const spentMs = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const before = spentMs();
  await pause(roundMs);
  return (spentMs() - before) / roundMs;
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
  const alto = await startAlto({ env: { ALTO_PROXY_ACCESS_LOG: accessLog, ALTO_SANDBOX: 'off' } });
  try {
    await alto.command('deploy', hello, '--project', 'default');
    await compare(alto);
    if (accessLog === 'off') await effective(alto);
  } finally {
    await alto.stop({ failed: false });
  }
}
