/** Each of Alto's services is restarted, updated and taken back under load, and nobody notices. */
import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gatewayOperations } from '@alto/contracts';
import { type Alto, eventually, loadClient, startAlto } from '@alto/testing';

const hello = fileURLToPath(new URL('../../examples/hello', import.meta.url));
const helloHost = 'hello.default.localhost';
const services = ['gateway', 'compute', 'storage', 'load-balancer', 'notifications', 'search'];

const write = { path: '/indexes/notes/documents/one', body: { fields: { title: 'Drain before you stop' } } };
/** A read of the service itself, and an idempotent write: of the service where it has one over HTTP. */
const traffic: Record<string, { read: string; write: { path: string; body: object } }> = {
  gateway: { read: '/apps', write },
  compute: { read: '/apps', write: { path: '/apps/idle', body: { command: ['node', '-e', '0'], replicas: 0 } } },
  storage: { read: '/bundles', write },
  'load-balancer': { read: '/routes', write: { path: '/routes/web', body: { host: 'web.test', app: 'hello' } } },
  notifications: { read: '/topics', write },
  search: { read: '/indexes/notes/search?q=stop', write },
};

let alto: Alto;

beforeAll(async () => {
  alto = await startAlto();
  await alto.command('deploy', hello, '--project', 'default');
  for (const { write: first } of Object.values(traffic)) expect(await put(first)).toBeLessThan(300);
}, 300_000);

afterEach(async () => {
  await Promise.all([...loads].map((stop) => stop()));
});

afterAll(async () => {
  await alto?.stop();
}, 300_000);

const headers = () => ({ authorization: `Bearer ${alto.adminKey}`, 'content-type': 'application/json' });

async function put({ path, body }: { path: string; body: object }): Promise<number> {
  const url = `${alto.apiUrl}/v1/projects/default${path}`;
  return (await fetch(url, { method: 'PUT', headers: headers(), body: JSON.stringify(body) })).status;
}

/** Ends of the loads that go on, also those of a test that has failed. */
const loads = new Set<() => Promise<unknown>>();

/** App requests over kept and fresh connections, API reads, API writes. @returns what failed, by kind */
function loadOn(service: string, share = 1): () => Promise<Record<string, unknown>> {
  const { read, write: change } = traffic[service]!;
  const api = `${alto.apiUrl}/v1/projects/default`;
  const app = { url: alto.appsUrl, host: helloHost, isRight: ({ status }: { status: number }) => status === 200 };
  const isRight = ({ status }: { status: number }) => status >= 200 && status < 300;
  const clients = {
    kept: loadClient({ ...app, connections: 4, keepAlive: true, rate: 100 * share }),
    fresh: loadClient({ ...app, connections: 2, keepAlive: false, rate: 40 * share }),
    reads: loadClient({
      url: api + read,
      headers: headers(),
      isRight,
      connections: 2,
      keepAlive: true,
      rate: 30 * share,
    }),
    writes: loadClient({
      url: api + change.path,
      method: 'PUT',
      headers: headers(),
      body: JSON.stringify(change.body),
      isRight,
      connections: 2,
      keepAlive: true,
      rate: 20 * share,
    }),
  };
  const stop = async () => {
    loads.delete(stop);
    return await Promise.all(
      Object.entries(clients).map(async ([name, client]) => [name, await client.stop()] as const),
    );
  };
  loads.add(stop);
  return async () => {
    const reports = await stop();
    for (const [, { requests }] of reports) expect(requests).toBeGreaterThan(20);
    return Object.fromEntries(reports.map(([name, { failures }]) => [name, failures]));
  };
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
      const stopLoad = loadOn(service);
      const seen = [(await running()).map(({ pid }) => pid)];
      for (const words of [['restart'], ['update', '--to', next], ['rollback']]) {
        const [verb = '', ...rest] = words;
        await alto.command('services', verb, service, ...rest);
        seen.push((await running()).map(({ pid }) => pid));
        const inUse = readFileSync(join(alto.dataDirectory, 'releases', service, 'current'), 'utf8').trim();
        expect(inUse).toBe(verb === 'update' ? next : version);
      }
      expect(await stopLoad()).toEqual({ kept: {}, fresh: {}, reads: {}, writes: {} });
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
    await eventually(async () => expect(await put(write)).toBe(200));
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
    const stopLoads = scaled.map((service) => loadOn(service, 1 / scaled.length));
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
    for (const stop of stopLoads) expect(await stop()).toEqual({ kept: {}, fresh: {}, reads: {}, writes: {} });
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
    const stopLoad = loadOn('gateway');
    const agents = [await alto.agentPid()];
    const steps: [argv: string[], expected: string][] = [
      [['update', 'node-agent', '--to', next], next],
      [['rollback', 'node-agent'], version],
    ];
    for (const [argv, expected] of steps) {
      await alto.command('services', ...argv);
      expect(await inUse()).toBe(expected);
      agents.push(await alto.agentPid());
      await eventually(async () => expect(await processesBut('node-agent')).toEqual(before));
    }
    expect(new Set(agents).size).toBe(3);
    // Its keeper starts the version that was chosen.
    await alto.killAgent();
    await eventually(async () => expect(await inUse()).toBe(version), { withinMs: 60_000 });
    await eventually(async () => expect(await processesBut('node-agent')).toEqual(before));
    expect(await stopLoad()).toEqual({ kept: {}, fresh: {}, reads: {}, writes: {} });
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
