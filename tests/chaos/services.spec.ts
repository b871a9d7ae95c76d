/** Each of Alto's services is restarted, updated and taken back under load, and nobody notices. */
import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

afterAll(async () => {
  await alto?.stop();
}, 120_000);

const headers = () => ({ authorization: `Bearer ${alto.adminKey}`, 'content-type': 'application/json' });

async function put({ path, body }: { path: string; body: object }): Promise<number> {
  const url = `${alto.apiUrl}/v1/projects/default${path}`;
  return (await fetch(url, { method: 'PUT', headers: headers(), body: JSON.stringify(body) })).status;
}

/** App requests over kept and fresh connections, API reads, API writes. @returns what failed, by kind */
function loadOn(service: string): () => Promise<Record<string, unknown>> {
  const { read, write: change } = traffic[service]!;
  const api = `${alto.apiUrl}/v1/projects/default`;
  const app = { url: alto.appsUrl, host: helloHost, isRight: ({ status }: { status: number }) => status === 200 };
  const isRight = ({ status }: { status: number }) => status >= 200 && status < 300;
  const clients = {
    kept: loadClient({ ...app, connections: 4, keepAlive: true, rate: 100 }),
    fresh: loadClient({ ...app, connections: 2, keepAlive: false, rate: 40 }),
    reads: loadClient({ url: api + read, headers: headers(), isRight, connections: 2, keepAlive: true, rate: 30 }),
    writes: loadClient({
      url: api + change.path,
      method: 'PUT',
      headers: headers(),
      body: JSON.stringify(change.body),
      isRight,
      connections: 2,
      keepAlive: true,
      rate: 20,
    }),
  };
  return async () => {
    const reports = await Promise.all(
      Object.entries(clients).map(async ([name, client]) => [name, await client.stop()] as const),
    );
    for (const [, { requests }] of reports) expect(requests).toBeGreaterThan(20);
    return Object.fromEntries(reports.map(([name, { failures }]) => [name, failures]));
  };
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
    120_000,
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
  }, 60_000);
});
