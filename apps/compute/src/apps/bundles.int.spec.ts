import { AltoError, newId, storageOperations } from '@alto/contracts';
import { eventually, type NatsServer, startNats } from '@alto/testing';
import { answering, type Answering } from '../answering.fake';
import { Scenario, withinMs } from '../scenario.fake';

let nats: NatsServer;
let scenario: Scenario;
let storage: Answering;
const bundle = newId('bundle');
const sha256 = 'ab'.repeat(32);

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  scenario = await Scenario.begin(nats);
  storage = await answering(nats.url, storageOperations.bundles.get, ({ project, bundle: id }) => {
    if (project !== scenario.project.id || id !== bundle) throw new AltoError('not_found', 'There is no such bundle.');
    return { id, project, sha256, sizeBytes: 1_234, version: 1, createdAt: new Date().toISOString() };
  });
});
afterEach(async () => {
  await storage.stop();
  await scenario.end();
});

describe('an app with a bundle', () => {
  it('hands its agent the bundle that its project has', async () => {
    const agent = scenario.join({ node: 'node-a' });
    await scenario.put('hello', { bundle });
    await scenario.reaches('hello', 'running');
    expect(agent.instructions.instances).toMatchObject([
      { bundle: { id: bundle, sha256, sizeBytes: 1_234 }, want: 'running' },
    ]);
  });

  it('is refused when its project has no such bundle', async () => {
    const unknown = scenario.put('hello', { bundle: newId('bundle') });
    await expect(unknown).rejects.toMatchObject({
      code: 'unprocessable',
      field: 'bundle',
      nextStep: expect.stringContaining('alto deploy'),
    });
    await expect(scenario.get('hello')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('can be scaled while storage is away, and not be given another bundle', async () => {
    scenario.join({ node: 'node-a' });
    await scenario.put('hello', { bundle, replicas: 1 });
    await storage.stop();
    await scenario.put('hello', { bundle, replicas: 2 });
    await scenario.reaches('hello', 'running', { ready: 2 });
    const other = scenario.put('hello', { bundle: newId('bundle') });
    await expect(other).rejects.toMatchObject({ code: 'service_unavailable', details: { service: 'storage' } });
    storage = await answering(nats.url, storageOperations.bundles.get, () => {
      throw new AltoError('not_found', 'There is no such bundle.');
    });
    await eventually(async () => expect(await scenario.get('hello')).toMatchObject({ revision: 1 }), { withinMs });
  });
});
