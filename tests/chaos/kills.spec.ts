/** Every process of an Alto is killed in turn, and its stores stop answering: all of it comes back alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeOperations, notificationsOperations, searchOperations } from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import { type Alto, type AltoWorkload, eventually, loadClient, startAlto } from '@alto/testing';

const project = 'default';
const hello = fileURLToPath(new URL('../../examples/hello', import.meta.url));
const helloHost = 'hello.default.localhost';
const recoversWithinMs = 45_000;
const outageMs = 30_000;

let alto: Alto;

beforeAll(async () => {
  alto = await startAlto();
  await alto.command('deploy', hello, '--project', project);
}, 300_000);

afterAll(async () => {
  await alto?.stop();
}, 120_000);

const isRight = ({ status }: { status: number }) => status === 200;

function appLoad(keepAlive: boolean) {
  return loadClient({ url: alto.appsUrl, host: helloHost, isRight, connections: 4, keepAlive, rate: 60 });
}

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
    { withinMs: recoversWithinMs },
  );
}

/** Changes that were acknowledged; none of them may be missing later. */
class Ledger {
  private readonly messages = new Set<string>();
  private documents = 0;

  async write(): Promise<void> {
    const { id } = await alto.client.call(notificationsOperations.messages.publish, {
      project,
      topic: 'ledger',
      body: { entry: this.messages.size },
    });
    this.messages.add(id);
    const document = `entry-${this.documents + 1}`;
    const fields = { title: 'acknowledged' };
    await alto.client.call(searchOperations.documents.put, { project, index: 'ledger', document, fields });
    this.documents++;
  }

  async verify(): Promise<void> {
    const topic = { project, topic: 'ledger', limit: 100 };
    const { items } = await alto.client.call(notificationsOperations.messages.list, topic);
    const kept = new Set(items.map(({ id }) => id));
    expect([...this.messages].filter((id) => !kept.has(id))).toEqual([]);
    for (let entry = 1; entry <= this.documents; entry++) {
      const address = { project, index: 'ledger', document: `entry-${entry}` };
      expect(await alto.client.call(searchOperations.documents.get, address)).toMatchObject({
        fields: { title: 'acknowledged' },
      });
    }
  }
}

const ledger = new Ledger();
const ledgerWorks = () => eventually(() => ledger.write(), { withinMs: recoversWithinMs });

describe('a process that is killed', () => {
  it.each(['gateway', 'compute', 'storage', 'load-balancer', 'notifications', 'search', 'nats', 'postgres'])(
    '%s is there again, nothing acknowledged is lost, and apps notice nothing',
    async (name) => {
      await ledgerWorks();
      const kept = appLoad(true);
      const fresh = appLoad(false);
      const pid = await alto.pid(name);
      process.kill(pid, 'SIGKILL');
      await untilReplaced(name, pid);
      await ledgerWorks();
      const reports = [await kept.stop(), await fresh.stop()];
      expect(reports.map(({ failures }) => failures)).toEqual([{}, {}]);
      await ledger.verify();
    },
    120_000,
  );

  it('HAProxy is there again, and fails only what was in flight', async () => {
    const pid = await alto.pid('haproxy');
    process.kill(pid, 'SIGKILL');
    await untilReplaced('haproxy', pid);
    await ledgerWorks();
    const load = appLoad(false);
    await eventually(() => expect(load.report().requests).toBeGreaterThan(100));
    expect((await load.stop()).failures).toEqual({});
    await ledger.verify();
  }, 90_000);

  it('an instance of an app is there again; only requests that it had accepted fail', async () => {
    const { id, pid } = await anInstance();
    const load = loadClient({
      url: alto.appsUrl,
      host: helloHost,
      isRight,
      connections: 4,
      keepAlive: true,
      rate: 100,
      instanceOf: ({ body }) => (JSON.parse(body) as { instance: string }).instance,
    });
    await eventually(() => expect(load.report().requests).toBeGreaterThan(50));
    process.kill(pid, 'SIGKILL');
    await untilReplaced(id, pid);
    const { failed } = await load.stop();
    expect(failed).toBeLessThanOrEqual(4);
    await eventually(
      async () => {
        const app = await alto.client.call(computeOperations.apps.get, { project, app: 'hello' });
        expect(app.status).toMatchObject({ state: 'running', ready: 3 });
      },
      { withinMs: recoversWithinMs },
    );
  }, 90_000);

  it('a shim takes nothing with it: its process goes on, and is started again when it ends later', async () => {
    const { id, pid } = await anInstance();
    process.kill(shimOf(id), 'SIGKILL');
    expect((await workload(id))?.pid).toBe(pid);
    process.kill(pid, 'SIGKILL');
    await untilReplaced(id, pid);
  }, 90_000);

  it('the log guard is there again', async () => {
    const guard = () => Number(readFileSync(join(alto.dataDirectory, 'workloads', 'log-guard'), 'utf8').split(' ')[0]);
    const killed = guard();
    process.kill(killed, 'SIGKILL');
    await eventually(() => expect(guard()).not.toBe(killed), { withinMs: 10_000 });
  });

  it('the agent is there again by itself, to the same processes', async () => {
    await ledgerWorks();
    const before = await processes();
    const killed = await alto.agentPid();
    const load = appLoad(true);
    process.kill(killed, 'SIGKILL');
    await eventually(async () => expect(await alto.agentPid()).not.toBe(killed), { withinMs: 20_000 });
    await eventually(async () => expect((await alto.status()).phase).toBe('running'), { withinMs: 20_000 });
    expect(await processes()).toEqual(before);
    expect((await load.stop()).failures).toEqual({});
    await ledger.verify();
  }, 90_000);
});

describe('NATS and PostgreSQL away', () => {
  it('is answered with 503 at once when they are gone', async () => {
    await ledgerWorks();
    const load = appLoad(true);
    const agent = await alto.agentPid();
    const pids = [await alto.pid('nats'), await alto.pid('postgres')];
    process.kill(agent, 'SIGSTOP'); // It would start them again.
    try {
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await eventually(async () => expect((await ask('/v1/projects/default/apps')).status).toBe(503));
      for (let count = 0; count < 5; count++) expectUnavailable(await ask('/v1/projects/default/apps'));
    } finally {
      process.kill(agent, 'SIGCONT');
    }
    await ledgerWorks();
    await ledger.verify();
    expect((await load.stop()).failures).toEqual({});
  }, 120_000);

  it('fails no request of an app when they hang, and all goes on afterwards', async () => {
    await ledgerWorks();
    const impatient = new AltoClient({ baseUrl: alto.apiUrl, apiKey: alto.adminKey, retry: { retriesMax: 0 } });
    const load = [appLoad(true), appLoad(false)];
    const goOn = [await alto.pause('nats'), await alto.pause('postgres')];
    const until = Date.now() + outageMs;
    try {
      const answers: Answer[] = [];
      const { id, pid } = await anInstance();
      process.kill(pid, 'SIGKILL');
      await untilReplaced(id, pid);
      // A connection that hangs looks like a slow one, until it has not answered for a while.
      await eventually(async () => expect((await ask('/v1/projects/default/apps')).status).toBe(503), {
        withinMs: outageMs / 2,
      });
      await eventually(
        async () => {
          answers.push(await ask('/v1/projects/default/apps'));
          expect(Date.now()).toBeGreaterThan(until);
        },
        { withinMs: outageMs, everyMs: 1_000 },
      );
      expect(answers.length).toBeGreaterThan(5);
      for (const answer of answers) expectUnavailable(answer);
    } finally {
      for (const resume of goOn) resume();
    }
    await eventually(() => impatient.call(computeOperations.apps.list, { project }), { withinMs: recoversWithinMs });
    await ledgerWorks();
    await ledger.verify();
    const reports = await Promise.all(load.map((client) => client.stop()));
    // The killed instance may have had as many requests in flight as there are connections.
    for (const { failed, requests } of reports) {
      expect(requests).toBeGreaterThan(1_000);
      expect(failed).toBeLessThanOrEqual(4);
    }
  }, 150_000);
});

async function processes(): Promise<Record<string, number | null>> {
  const { workloads } = await alto.status();
  return Object.fromEntries(workloads.filter(({ pid }) => pid !== null).map(({ id, pid }) => [id, pid]));
}

async function anInstance(): Promise<{ id: string; pid: number }> {
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

function expectUnavailable({ status, type, tookMs }: Answer): void {
  expect({ status, type }).toEqual({ status: 503, type: expect.stringContaining('application/problem+json') });
  expect(tookMs).toBeLessThan(2_500);
}

async function ask(path: string): Promise<Answer> {
  const from = performance.now();
  const response = await fetch(`${alto.apiUrl}${path}`, { headers: { authorization: `Bearer ${alto.adminKey}` } });
  await response.arrayBuffer();
  return { status: response.status, type: response.headers.get('content-type'), tookMs: performance.now() - from };
}
