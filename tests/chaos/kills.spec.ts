/** Every process of an Alto is killed in turn, and its stores stop answering: all of it comes back alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeOperations } from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import {
  type Alto,
  type AltoWorkload,
  childrenOf,
  eventually,
  type LoadClient,
  loadClient,
  startAlto,
} from '@alto/testing';
import { services } from './changes';
import { Ledger } from './ledger';
import { placeOrders } from './orders';

const project = 'default';
const shop = fileURLToPath(new URL('./shop', import.meta.url));
const recoversWithinMs = 45_000;
const outageMs = 30_000;

let alto: Alto;
let ledger: Ledger;

beforeAll(async () => {
  alto = await startAlto();
  await alto.command('deploy', shop);
  ledger = new Ledger(alto);
  await ledger.goesOn(recoversWithinMs);
}, 300_000);

afterEach(async () => {
  await Promise.all([...reading].map((readers) => readers.stop(0)));
});

afterAll(async () => {
  await ledger?.stop();
  await alto?.stop();
}, 300_000);

/** Of each kind, each with one request at a time. */
const readersEach = 4;
const reading = new Set<Readers>();

/** Reads over lasting and over fresh connections. */
class Readers {
  private readonly clients: readonly LoadClient[] = [true, false].map((keepAlive) =>
    loadClient({
      url: alto.appsUrl,
      host: 'shop.default.localhost',
      isRight: ({ status }) => status === 200,
      instanceOf: ({ body }) => (JSON.parse(body) as { instance: string }).instance,
      connections: readersEach,
      keepAlive,
      rate: 60,
    }),
  );

  constructor() {
    reading.add(this);
  }

  async untilAnsweredBy(instance: string): Promise<void> {
    const answers = () => this.clients.map((client) => client.report().instances[instance] ?? 0);
    await eventually(() => expect(Math.max(...answers())).toBeGreaterThan(0), { withinMs: recoversWithinMs });
  }

  /** @returns what failed how often, after so many requests over each kind of connection */
  async stop(requestsLeast = 100): Promise<Record<string, number>[]> {
    reading.delete(this);
    await eventually(() => this.clients.every((client) => client.report().requests >= requestsLeast));
    const reports = await Promise.all(this.clients.map((client) => client.stop()));
    return reports.map(({ failures }) => failures);
  }
}

/** Whoever asks the app reaches the instance, too. */
async function untilServes(instance: string): Promise<void> {
  const readers = new Readers();
  await readers.untilAnsweredBy(instance);
  expect(await readers.stop(0)).toEqual(nothingFailed);
}

const nothingFailed = [{}, {}];

async function workload(name: string): Promise<AltoWorkload | undefined> {
  const { workloads } = await alto.status();
  return workloads.find((one) => (one.id === name || one.name === name) && one.pid !== null);
}

/** Waits for another process in the place of this one, that serves. */
async function untilReplaced(name: string, killed: number): Promise<void> {
  await eventually(
    async () => {
      const found = await workload(name);
      expect(found).toMatchObject({ phase: 'ready' });
      expect(found?.pid).not.toBe(killed);
    },
    { withinMs: recoversWithinMs, everyMs: 100 },
  );
}

/** One that ends within seconds of its start is started again after a pause, and its ports are closed until then. */
async function lastingHaproxy(): Promise<Running> {
  return await eventually(
    async () => {
      const { startedAtMs } = (await workload('haproxy')) ?? {};
      return Date.now() - (startedAtMs ?? Infinity) > 7_000 && (await running('haproxy'));
    },
    { withinMs: recoversWithinMs },
  );
}

describe('a process that is killed', () => {
  it.each([...services, 'nats', 'postgres'])(
    '%s is there again, nothing acknowledged is lost, and apps notice nothing',
    async (name) => {
      const readers = new Readers();
      const pid = await alto.pid(name);
      process.kill(pid, 'SIGKILL');
      await untilReplaced(name, pid);
      await ledger.goesOn(recoversWithinMs);
      expect(await readers.stop()).toEqual(nothingFailed);
      await ledger.verify();
    },
    300_000,
  );

  it.each([
    { killed: 'HAProxy', of: (master: number) => [master] },
    { killed: 'HAProxy’s worker', of: childrenOf },
  ])(
    '$killed is there again; only what was in flight on it is cut, nobody is refused, nothing is answered wrongly',
    async ({ of }) => {
      const { pid: master } = await lastingHaproxy();
      const readers = new Readers();
      for (const pid of of(master)) process.kill(pid, 'SIGKILL');
      await untilReplaced('haproxy', master);
      const later = new Readers();
      await ledger.goesOn(recoversWithinMs);
      for (const failures of await readers.stop()) {
        expect(Object.keys(failures).filter((kind) => !['reset', 'closed without an answer'].includes(kind))).toEqual(
          [],
        );
        expect(Object.values(failures).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(readersEach);
      }
      expect(await later.stop()).toEqual(nothingFailed);
      await ledger.verify();
    },
    300_000,
  );

  it('an instance of an app is there again; only requests in flight on it that must not be repeated fail', async () => {
    const readers = new Readers();
    const orders = placeOrders(alto, 9);
    const begun = await eventually(async () => {
      const all = await orders.inFlight();
      return all.size === 9 && all;
    });
    const [victim = ''] = begun.values();
    const onVictim = [...begun].filter(([, instance]) => instance === victim).map(([order]) => order);
    const pid = (await workload(victim))?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    expect((await orders.failed).sort()).toEqual(onVictim.sort());
    await untilReplaced(victim, pid);
    expect(await readers.stop()).toEqual(nothingFailed);
    await eventually(
      async () => {
        const app = await alto.client.call(computeOperations.apps.get, { project, app: 'shop' });
        expect(app.status).toMatchObject({ state: 'running', ready: 3 });
      },
      { withinMs: recoversWithinMs },
    );
  }, 300_000);

  it.each([
    { of: 'an instance', find: anInstance },
    { of: 'a service', find: () => running('storage') },
    { of: 'HAProxy', find: lastingHaproxy },
  ])(
    'the shim of $of takes nothing with it: its process goes on, and is started again when it ends later',
    async ({ of, find }) => {
      const readers = new Readers();
      const { id, pid } = await find();
      process.kill(shimOf(id), 'SIGKILL');
      await ledger.goesOn(recoversWithinMs);
      expect((await workload(id))?.pid).toBe(pid);
      // Without its shim nothing keeps the ports of HAProxy open while it is away.
      if (of === 'HAProxy') expect(await readers.stop()).toEqual(nothingFailed);
      process.kill(pid, 'SIGKILL');
      await untilReplaced(id, pid);
      await ledger.goesOn(recoversWithinMs);
      expect(await (of === 'HAProxy' ? new Readers() : readers).stop()).toEqual(nothingFailed);
      await ledger.verify();
    },
    300_000,
  );

  it('the log guard is there again', async () => {
    const guard = () => Number(readFileSync(join(alto.dataDirectory, 'workloads', 'log-guard'), 'utf8').split(' ')[0]);
    const killed = guard();
    process.kill(killed, 'SIGKILL');
    await eventually(() => expect(guard()).not.toBe(killed), { withinMs: 60_000 });
  });

  it('the agent is there again by itself, to the same processes', async () => {
    const readers = new Readers();
    const before = await processes();
    await killAgent();
    await eventually(async () => expect((await alto.status()).phase).toBe('running'), { withinMs: 60_000 });
    expect(await processes()).toEqual(before);
    expect(await readers.stop()).toEqual(nothingFailed);
    await ledger.goesOn(recoversWithinMs);
    await ledger.verify();
  }, 300_000);
});

describe('NATS and PostgreSQL away', () => {
  const stores = ['nats', 'postgres'];

  it('is answered with 503 at once when they die again and again; the agent starts an instance again that crashes', async () => {
    const readers = new Readers();
    const stopKilling = keepKilling(stores);
    try {
      await eventually(async () =>
        expect(await ask(`/v1/projects/default/${reads[0]}`)).toMatchObject({ status: 503 }),
      );
      await expectUnavailable({ atTimesBack: true });
      const { id, pid } = await anInstance();
      process.kill(pid, 'SIGKILL');
      await untilReplaced(id, pid);
    } finally {
      await stopKilling();
    }
    // The more often they have died, the longer the agent waits before it starts them again.
    await ledger.goesOn(3 * recoversWithinMs);
    await ledger.verify();
    expect(await readers.stop()).toEqual(nothingFailed);
  }, 300_000);

  it('is answered with 503 at once when PostgreSQL alone hangs', async () => {
    const readers = new Readers();
    const resume = await alto.pause('postgres');
    try {
      await expectUnavailable();
    } finally {
      resume();
    }
    await ledger.goesOn(recoversWithinMs);
    await ledger.verify();
    expect(await readers.stop()).toEqual(nothingFailed);
  }, 300_000);

  it('fails no request of an app when they hang, not even with all else of Alto gone, and all goes on afterwards', async () => {
    const impatient = new AltoClient({ baseUrl: alto.apiUrl, apiKey: alto.adminKey, retry: { retriesMax: 0 } });
    const readers = new Readers();
    const goOn = await Promise.all(stores.map((store) => alto.pause(store)));
    const until = Date.now() + outageMs;
    try {
      await expectUnavailable();
      const { id, pid } = await anInstance();
      process.kill(pid, 'SIGKILL');
      await untilReplaced(id, pid);
      await untilServes(id);
      await expectUnavailable({ known: true });
      for (const service of services) await alto.kill(service);
      await killAgent();
      await eventually(() => Date.now() > until, { withinMs: outageMs, everyMs: 100 });
    } finally {
      for (const resume of goOn) resume();
    }
    await eventually(() => impatient.call(computeOperations.apps.list, { project }), { withinMs: recoversWithinMs });
    await ledger.goesOn(recoversWithinMs);
    await ledger.verify();
    expect(await readers.stop(1_000)).toEqual(nothingFailed);
  }, 300_000);
});

it('nothing is lost of all that was acknowledged meanwhile', async () => {
  await ledger.verifyAll();
}, 300_000);

/** As often as they are started. @returns what ends it */
function keepKilling(names: readonly string[]): () => Promise<void> {
  let stopping = false;
  const killing = (async () => {
    while (!stopping) {
      for (const name of names) await alto.kill(name).catch(() => undefined); // It does not run just now.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  return async () => {
    stopping = true;
    await killing;
  };
}

/** And waits until another one is there. */
async function killAgent(): Promise<void> {
  const killed = await alto.agentPid();
  process.kill(killed, 'SIGKILL');
  await eventually(async () => expect(await alto.agentPid()).not.toBe(killed), { withinMs: 60_000, everyMs: 100 });
}

async function processes(): Promise<Record<string, number | null>> {
  const { workloads } = await alto.status();
  return Object.fromEntries(workloads.filter(({ pid }) => pid !== null).map(({ id, pid }) => [id, pid]));
}

interface Running {
  readonly id: string;
  readonly pid: number;
}

async function running(name: string): Promise<Running> {
  const { id, pid } = (await workload(name)) ?? {};
  if (!id || !pid) throw new Error(`${name} does not run`);
  return { id, pid };
}

async function anInstance(): Promise<Running> {
  const { workloads } = await alto.status();
  const found = workloads.find(({ kind, phase }) => kind === 'instance' && phase === 'ready');
  if (!found?.pid) throw new Error('no instance is ready');
  return { id: found.id, pid: found.pid };
}

/** Of the newest run: `workloads/<id>/<run>/shim`. */
function shimOf(id: string): number {
  const folder = join(alto.dataDirectory, 'workloads', id);
  for (let run = 100; run > 0; run--) {
    try {
      return Number(readFileSync(join(folder, String(run), 'shim'), 'utf8').split(' ')[0]);
    } catch {
      continue; // there was no such run
    }
  }
  throw new Error(`${id} has no shim`);
}

interface Answer {
  status: number;
  type: string | null;
  tookMs: number;
}

/** What each service that keeps its state in PostgreSQL is asked for. */
const reads = ['apps', 'bundles', 'routes', 'topics'];

/**
 * Nobody waits for a timeout; only the first to ask a service may find out over a connection that hangs.
 * @param atTimesBack what is away comes back for moments, in which a right answer is right
 */
async function expectUnavailable({ known = false, atTimesBack = false } = {}): Promise<void> {
  let right = 0;
  for (const withinMs of [known ? 2_000 : 9_000, 2_000, 2_000]) {
    for (const read of reads) {
      const { status, type } = await askWithin(`/v1/projects/default/${read}`, withinMs);
      if (atTimesBack && status === 200) right++;
      else expect({ read, status, type }).toEqual({ read, status: 503, type: 'application/problem+json' });
    }
  }
  expect(right).toBeLessThan(reads.length);
  if (atTimesBack) return;
  const write = { method: 'PUT', body: JSON.stringify({ command: ['node', '-e', '0'], replicas: 0 }) };
  const { status, type } = await askWithin('/v1/projects/default/apps/unavailable', 2_000, write);
  expect({ status, type }).toEqual({ status: 503, type: 'application/problem+json' });
}

/** A timeout comes each time, a machine that stands still for a moment once. */
async function askWithin(path: string, withinMs: number, request: RequestInit = {}): Promise<Answer> {
  const first = await ask(path, request);
  const answer = first.tookMs < withinMs ? first : await ask(path, request);
  expect(answer.tookMs).toBeLessThan(withinMs);
  return answer;
}

async function ask(path: string, request: RequestInit = {}): Promise<Answer> {
  const from = performance.now();
  const headers = { authorization: `Bearer ${alto.adminKey}`, 'content-type': 'application/json' };
  const response = await fetch(`${alto.apiUrl}${path}`, { ...request, headers });
  await response.arrayBuffer();
  return { status: response.status, type: response.headers.get('content-type'), tookMs: performance.now() - from };
}
