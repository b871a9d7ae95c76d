/** Changes of an app under load: no user of it ever notices. */
import { fileURLToPath } from 'node:url';
import { type App, computeOperations, type RequestOf } from '@alto/contracts';
import { type Alto, eventually, startAlto } from '@alto/testing';
import { idleTraffic, OpenSocket, Traffic } from './traffic';

const project = 'default';
const app = 'live';
const host = `${app}.${project}.localhost`;
const live = fileURLToPath(new URL('../../examples/live', import.meta.url));
const hello = fileURLToPath(new URL('../../examples/hello', import.meta.url));
const requestsLeast = 20_000;

type Put = RequestOf<typeof computeOperations.apps.put>;

let alto: Alto;

beforeAll(async () => {
  // An open WebSocket keeps its instance until this time is over.
  alto = await startAlto({ env: { ALTO_DRAIN_TIMEOUT_MS: '4000' } });
  await alto.command('deploy', live, '--host', '*');
  await put({ healthyMs: 500 });
}, 300_000);

afterAll(async () => {
  await alto?.stop();
}, 120_000);

async function currentApp(name = app): Promise<App> {
  return await alto.client.call(computeOperations.apps.get, { project, app: name });
}

/** Changes the app's specification; what is not named stays. */
async function put(change: Partial<Put>): Promise<App> {
  const { spec } = await currentApp();
  return await alto.client.call(computeOperations.apps.put, { project, app, ...spec, ...change });
}

const version = (text: string) => ({ env: { VERSION: text } });

/** Nothing of an earlier revision is left and every replica serves. */
async function settled(replicas: number): Promise<void> {
  await eventually(
    async () => {
      const { status, revision } = await currentApp();
      expect(status).toMatchObject({ state: 'running', ready: replicas, updated: replicas });
      const { items } = await alto.client.call(computeOperations.instances.list, { project, app });
      expect(items.map((instance) => instance.revision)).toEqual(Array.from({ length: replicas }, () => revision));
    },
    { withinMs: 60_000 },
  );
}

/** Makes a change under load and expects that nobody notices. @returns which versions answered how often */
async function underLoad(change: () => Promise<unknown>): Promise<Record<string, number>> {
  const traffic = new Traffic(alto.appsUrl, host);
  let failure: unknown;
  await change().catch((error: unknown) => (failure = error));
  const report = await traffic.end(failure === undefined ? requestsLeast : 0);
  if (failure !== undefined) throw failure;
  expect(report.failures).toEqual({});
  return report.versions;
}

describe('an app under load', () => {
  it('moves to another revision, and leaves its neighbours and open sockets in peace', async () => {
    const socket = new OpenSocket(alto.appsUrl);
    await socket.isAlive();
    await alto.command('deploy', hello, '--name', 'neighbour');
    const neighbour = idleTraffic(alto.appsUrl, `neighbour.${project}.localhost`);
    const versions = await underLoad(async () => {
      await put(version('2'));
      await settled(2);
    });
    expect(Object.keys(versions).sort()).toEqual(['1', '2']);
    expect((await neighbour.stop()).failures).toEqual({});
    // Ended by the app's own "going away", not cut.
    expect(await socket.ended).toEqual({ code: 1001, wasClean: true });
  }, 120_000);

  it('is scaled up and down', async () => {
    const versions = await underLoad(async () => {
      await put({ replicas: 4 });
      await settled(4);
      await put({ replicas: 2 });
      await settled(2);
    });
    expect(Object.keys(versions)).toEqual(['2']);
  }, 120_000);
});
