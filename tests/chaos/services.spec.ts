/** Each of Alto's services is restarted, updated and taken back under load, and nobody notices. */
import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gatewayOperations } from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import { type Alto, eventually, type LoadClient, loadClient, startAlto } from '@alto/testing';
import { OpenSocket, Traffic } from '../e2e/traffic';
import { changes, putDocument, type Service, services } from './changes';

const live = fileURLToPath(new URL('../../examples/live', import.meta.url));
const liveHost = 'live.default.localhost';
const appRequestsLeast = 20_000;
/** Of each service. */
const readsLeast = 60;
const writesLeast = 30;
const readsInASecond = 8;
const pauseBetweenWritesMs = 150;

const reads: Record<Service, string> = {
  gateway: '/keys',
  compute: '/apps',
  storage: '/bundles',
  'load-balancer': '/routes',
  notifications: '/topics',
  search: '/indexes/ledger/search?q=acknowledged',
};

let alto: Alto;

beforeAll(async () => {
  alto = await startAlto();
  await alto.command('deploy', live, '--host', '*');
  for (const service of services) await changes[service](alto.client, 0);
  for (const service of services) await eventually(async () => expect((await get(reads[service])).ok).toBe(true));
}, 300_000);

afterEach(async () => {
  await Promise.all([...loads].map((load) => load.stop()));
});

afterAll(async () => {
  await alto?.stop();
}, 300_000);

const apiUrl = (path: string) => `${alto.apiUrl}/v1/projects/default${path}`;
const headers = () => ({ authorization: `Bearer ${alto.adminKey}` });

async function get(path: string): Promise<Response> {
  return await fetch(apiUrl(path), { headers: headers() });
}

/** Those that go on, also of a test that has failed. */
const loads = new Set<Load>();

/** Users of an app, one of them on a WebSocket, and reads and idempotent writes of every service. */
class Load {
  private readonly traffic = new Traffic(alto.appsUrl, liveHost);
  private readonly socket = new OpenSocket(alto.appsUrl);
  private readonly reads: readonly [Service, LoadClient][] = services.map((service) => [service, readsOf(service)]);
  private readonly writes: readonly [Service, Writes][] = services.map((service) => [service, new Writes(service)]);

  constructor() {
    loads.add(this);
  }

  /** The WebSocket is the one that was opened first, and the app answers on it. */
  async holds(): Promise<void> {
    await this.socket.isAlive();
  }

  /** Goes on until there was enough of everything. @returns what failed, by kind */
  async end(): Promise<Record<string, unknown>> {
    await this.holds();
    await eventually(
      () => {
        for (const [, client] of this.reads) expect(client.report().requests).toBeGreaterThanOrEqual(readsLeast);
        for (const [, writer] of this.writes) expect(writer.acknowledged).toBeGreaterThanOrEqual(writesLeast);
      },
      { withinMs: 60_000 },
    );
    return await this.stop(appRequestsLeast);
  }

  async stop(requestsLeast = 0): Promise<Record<string, unknown>> {
    loads.delete(this);
    const { failures, versions } = await this.traffic.end(requestsLeast);
    this.socket.close();
    const failed = async ([service, client]: [Service, LoadClient]) =>
      [service, (await client.stop()).failures] as const;
    return {
      apps: failures,
      versions: Object.keys(versions),
      reads: Object.fromEntries(await Promise.all(this.reads.map(failed))),
      writes: Object.fromEntries(
        await Promise.all(this.writes.map(async ([service, one]) => [service, await one.stop()])),
      ),
    };
  }
}

const nothing = Object.fromEntries(services.map((service) => [service, {}]));
const nothingFailed = { apps: {}, versions: ['1'], reads: nothing, writes: nothing };

function readsOf(service: Service): LoadClient {
  return loadClient({
    url: apiUrl(reads[service]),
    headers: headers(),
    isRight: ({ status }) => status === 200,
    connections: 1,
    keepAlive: true,
    rate: readsInASecond,
  });
}

let entries = 0;

/** One write after the other; none is sent again. */
class Writes {
  acknowledged = 0;
  private readonly failures: Record<string, number> = {};
  private stopping = false;
  private readonly writing: Promise<void>;

  constructor(service: Service) {
    this.writing = this.write(service);
  }

  /** @returns what failed how often */
  async stop(): Promise<Record<string, number>> {
    this.stopping = true;
    await this.writing;
    return this.failures;
  }

  private async write(service: Service): Promise<void> {
    const client = new AltoClient({ baseUrl: alto.apiUrl, apiKey: alto.adminKey, retry: { retriesMax: 0 } });
    while (!this.stopping) {
      try {
        await changes[service](client, ++entries);
        this.acknowledged++;
      } catch (error) {
        this.failures[String(error)] = (this.failures[String(error)] ?? 0) + 1;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseBetweenWritesMs));
    }
  }
}

/** Processes of a service that are ready, by the id of their slot. */
async function readyRuns(service: string): Promise<Map<string, number>> {
  const { workloads } = await alto.status();
  const ready = workloads.filter(
    ({ name, phase, want }) => name === service && phase === 'ready' && want === 'running',
  );
  return new Map(ready.map(({ id, pid }) => [id, pid ?? 0]));
}

/** Instances of a service that take requests, as the gateway knows them. */
async function announced(service: string): Promise<number> {
  const { items } = await alto.client.call(gatewayOperations.services.list, {});
  return items.find((one) => one.service === service)?.instances.filter(({ state }) => state === 'ready').length ?? 0;
}

/** The release in use under another version, as the next build would be installed. */
function nextRelease(service: string): { version: string; next: string } {
  const folder = join(alto.dataDirectory, 'releases', service);
  const version = readFileSync(join(folder, 'current'), 'utf8').trim();
  const next = `${version}-next`;
  cpSync(join(folder, version), join(folder, next), { recursive: true });
  const manifest = join(folder, next, 'manifest.json');
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replaceAll(version, next));
  return { version, next };
}

/** SHA-256 of every file of a service's releases, and of where they point. */
function filesOf(service: string): Record<string, string> {
  const folder = join(alto.dataDirectory, 'releases', service);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path, createHash('sha256').update(readFileSync(path)).digest('hex')];
    }),
  );
}

/** Every process but those of one service, by its name. */
async function processesBut(service: string): Promise<Record<string, number | null>> {
  const { workloads } = await alto.status();
  return Object.fromEntries(workloads.filter(({ name }) => name !== service).map(({ id, pid }) => [id, pid]));
}

describe('a service of Alto, replaced under load', () => {
  it.each(services)(
    '%s: restart, update and the way back fail nothing and touch no other service',
    async (service) => {
      const { version, next } = nextRelease(service);
      const others = services.filter((other) => other !== service);
      const before = { files: others.map(filesOf), processes: await processesBut(service) };
      const running = async () => {
        const { workloads } = await alto.status();
        return workloads.filter(({ name, pid }) => name === service && pid !== null);
      };
      const bothRun = async () => {
        const versions = (await running()).map(({ release }) => release?.version);
        expect(versions.sort()).toEqual([version, next]);
      };
      const load = new Load();
      const seen = [(await running()).map(({ pid }) => pid)];
      for (const words of [['restart'], ['update', '--to', next], ['rollback']]) {
        const [verb = '', ...rest] = words;
        const changed = alto.command('services', verb, service, ...rest);
        await Promise.all([changed, verb === 'update' && eventually(bothRun, { withinMs: 120_000, everyMs: 50 })]);
        await load.holds();
        seen.push((await running()).map(({ pid }) => pid));
        const inUse = readFileSync(join(alto.dataDirectory, 'releases', service, 'current'), 'utf8').trim();
        expect(inUse).toBe(verb === 'update' ? next : version);
      }
      expect(await load.end()).toEqual(nothingFailed);
      expect(new Set(seen.flat()).size).toBe(4);
      expect({ files: others.map(filesOf), processes: await processesBut(service) }).toEqual(before);
    },
    300_000,
  );

  it('keeps what runs when a version does not get ready, and says why', async () => {
    const { version, next } = nextRelease('search');
    const folder = join(alto.dataDirectory, 'releases', 'search');
    writeFileSync(join(folder, next, 'main.mjs'), 'process.exit(3);');
    const pid = await alto.pid('search');
    // An agent waits two minutes; a crash three times in a row is enough.
    await expect(alto.command('services', 'update', 'search', '--to', next)).rejects.toThrow(/search\.\d.*code 3/s);
    expect(await alto.pid('search')).toBe(pid);
    expect(readFileSync(join(folder, 'current'), 'utf8').trim()).toBe(version);
    await eventually(() => putDocument(alto.client, 0));
  }, 300_000);
});

describe('services of Alto, several of each', () => {
  const scaled = ['gateway', 'compute', 'storage', 'load-balancer'];
  const inAll = async (instances: number) => {
    for (const service of scaled) {
      expect((await readyRuns(service)).size).toBe(instances);
      await eventually(async () => expect(await announced(service)).toBe(instances), { withinMs: 60_000 });
    }
  };

  it('come and go under load without a failed request, are replaced one by one, and outlive their agent', async () => {
    const load = new Load();
    for (const service of scaled) await alto.command('services', 'scale', service, '3');
    await inAll(3);
    expect((await alto.command('services')).match(/gateway-\d/g)).toHaveLength(3);

    const before = await readyRuns('gateway');
    await alto.command('services', 'restart', 'gateway');
    const after = await readyRuns('gateway');
    expect(after.size).toBe(3);
    expect([...before.values()].filter((pid) => [...after.values()].includes(pid))).toEqual([]);

    await alto.killAgent();
    await eventually(async () => expect(await readyRuns('gateway')).toEqual(after), { withinMs: 60_000 });

    for (const service of scaled) await alto.command('services', 'scale', service, '1');
    await inAll(1);
    expect(await load.end()).toEqual(nothingFailed);
  }, 480_000);

  it('stay as they are where a number makes no sense', async () => {
    await expect(alto.command('services', 'scale', 'search', '10')).rejects.toThrow('1 to 9 instances');
    await expect(alto.command('services', 'scale', 'search', '0')).rejects.toThrow('1 to 9 instances');
    await expect(alto.command('services', 'scale', 'nats', '2')).rejects.toThrow("not a service of Alto's own");
    expect((await readyRuns('search')).size).toBe(1);
  }, 300_000);
});

describe('the agent itself', () => {
  const inUse = async () => (await alto.status()).version;

  it('is updated and taken back while all that it runs goes on', async () => {
    const { version, next } = nextRelease('node-agent');
    const before = await processesBut('node-agent');
    const load = new Load();
    const agents = [await alto.agentPid()];
    const steps: [argv: string[], expected: string][] = [
      [['update', 'node-agent', '--to', next], next],
      [['rollback', 'node-agent'], version],
    ];
    for (const [argv, expected] of steps) {
      await alto.command('services', ...argv);
      expect(await inUse()).toBe(expected);
      await load.holds();
      agents.push(await alto.agentPid());
      await eventually(async () => expect(await processesBut('node-agent')).toEqual(before));
    }
    expect(new Set(agents).size).toBe(3);
    // Its keeper starts the version that was chosen.
    await alto.killAgent();
    await eventually(async () => expect(await inUse()).toBe(version), { withinMs: 60_000 });
    await eventually(async () => expect(await processesBut('node-agent')).toEqual(before));
    expect(await load.end()).toEqual(nothingFailed);
  }, 300_000);

  it('is the one before when another version does not get to work', async () => {
    const { version, next } = nextRelease('node-agent');
    const before = await processesBut('node-agent');
    writeFileSync(join(alto.dataDirectory, 'releases', 'node-agent', next, 'main.mjs'), 'process.exit(3);');
    const update = alto.command('services', 'update', 'node-agent', '--to', next);
    await expect(update).rejects.toThrow(`${next} did not get to work; the one of ${version} is back`);
    expect(await inUse()).toBe(version);
    await eventually(async () => expect(await processesBut('node-agent')).toEqual(before));
  }, 300_000);
});
