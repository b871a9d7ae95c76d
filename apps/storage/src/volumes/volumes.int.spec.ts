import { type Bundle, storageOperations } from '@alto/contracts';
import {
  callerOf,
  createDatabase,
  eventually,
  type NatsServer,
  newTestProject,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
  tokenOf,
} from '@alto/testing';
import { archiveOfSize } from '../bundles/archive.fake';
import { storageService } from '../storage.module';

const { locate } = storageOperations.bundles;
const developer = callerOf(newTestProject());
const project = developer.project!;

let nats: NatsServer;
let database: TestDatabase;
const running: TestService[] = [];

beforeAll(async () => {
  nats = await startNats();
  database = await createDatabase({ name: 'storage', ...storageService.database! });
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((service) => service.stop()));
});

afterAll(async () => {
  await database?.drop();
  await nats?.stop();
});

async function start(databaseUrl = database.url, settings: Record<string, string> = {}): Promise<TestService> {
  const all = { ALTO_STORAGE_FREE_BYTES_MIN: '0', ...settings };
  const service = await startTestService(storageService, { natsUrl: nats.url, databaseUrl, settings: all });
  running.push(service);
  return service;
}

async function isReady(service: TestService): Promise<void> {
  await eventually(async () => (await fetch(`${service.url}/readyz`)).ok, { withinMs: 30_000 });
}

function upload(service: TestService, archive: Buffer): Promise<Response> {
  const headers = { 'alto-caller': tokenOf(developer), 'content-type': 'application/gzip' };
  return fetch(`${service.url}/v1/projects/${project}/bundles`, {
    method: 'POST',
    headers,
    body: new Uint8Array(archive),
  });
}

function download(service: TestService, bundle: string): Promise<Response> {
  const headers = { 'alto-caller': tokenOf(developer) };
  return fetch(`${service.url}/v1/projects/${project}/bundles/${bundle}/content`, { headers });
}

describe('volumes', () => {
  it('gives a bundle out through an instance of another volume, and says so when its own is away', async () => {
    const [holder, other] = [await start(), await start()];
    await Promise.all([isReady(holder), isReady(other)]);
    const archive = await archiveOfSize(2_000_000);
    const bundle = (await (await upload(holder, archive)).json()) as Bundle;
    const located = await eventually(() => other.call(locate, { project, bundle: bundle.id }));
    expect(located.url.startsWith(holder.url)).toBe(true);
    const response = await eventually(async () => {
      const answer = await download(other, bundle.id);
      return answer.ok && answer;
    });
    expect(Buffer.from(await response.arrayBuffer()).equals(archive)).toBe(true);
    await holder.stop();
    await eventually(async () => (await download(other, bundle.id)).status === 503);
  });

  it('lets instances of one machine share a volume', async () => {
    const first = await start();
    const second = await start(database.url, { ALTO_STATE_DIR: first.stateDirectory });
    await Promise.all([isReady(first), isReady(second)]);
    const archive = await archiveOfSize(10_000);
    const bundle = (await (await upload(first, archive)).json()) as Bundle;
    expect((await download(second, bundle.id)).status).toBe(200);
    expect(((await (await upload(second, archive)).json()) as Bundle).id).toBe(bundle.id);
  });

  it('are not taken over by a database that does not know them', async () => {
    const owner = await start();
    await isReady(owner);
    await upload(owner, await archiveOfSize(10_000));
    const foreign = await createDatabase({ name: 'storage', ...storageService.database! });
    const stranger = await start(foreign.url, { ALTO_STATE_DIR: owner.stateDirectory });
    const checks = await eventually(async () => {
      const report = (await (await fetch(`${stranger.url}/readyz`)).json()) as {
        checks: Record<string, { reason?: string }>;
      };
      return report.checks['volume']?.reason?.includes('knows no such volume') === true && report;
    });
    expect(checks).toMatchObject({ ready: false });
    expect((await upload(stranger, await archiveOfSize(10_000))).status).toBe(503);
    await Promise.all(running.splice(0).map((service) => service.stop()));
    await foreign.drop();
  });
});
