import { type App, type AppSpec, computeOperations, type Instance, type RequestOf } from '@alto/contracts';
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
} from '@alto/testing';
import { ComputeModule } from './compute.module';
import { computeConfig } from './config';
import { computeDatabase } from './database';
import { ScriptedProxy } from './endpoints/scripted-proxy';
import { ScriptedAgent, type ScriptedAgentOptions } from './nodes/scripted-agent';

const definition = { name: 'compute', module: ComputeModule, config: computeConfig, database: computeDatabase } as const;
const withinMs = 20_000;
const { apps, instances, nodes, revisions } = computeOperations;

let nats: NatsServer;
let database: TestDatabase;
let compute: TestService;
let project: ReturnType<typeof newTestProject>;
const agents: ScriptedAgent[] = [];
const proxies: ScriptedProxy[] = [];

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());

beforeEach(async () => {
  database = await createDatabase({ name: 'compute', ...computeDatabase });
  project = newTestProject();
  compute = await start();
});
afterEach(async () => {
  await Promise.all([...agents.splice(0), ...proxies.splice(0)].map((fake) => fake.stop()));
  await compute.stop();
  await database.drop();
});

async function start(settings: Record<string, string> = {}): Promise<TestService> {
  const service = await startTestService(definition, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: { ALTO_NODE_SUSPECT_AFTER_MS: '1000', ALTO_NODE_LOST_AFTER_MS: '1500', ALTO_FAILED_HOLD_MS: '300', ...settings },
  });
  await eventually(async () => expect((await fetch(`${service.url}/readyz`)).status).toBe(200), { withinMs });
  return service;
}

function join(options: ScriptedAgentOptions): ScriptedAgent {
  const agent = new ScriptedAgent(compute.client, options);
  agents.push(agent);
  agent.start();
  return agent;
}

function addProxy(id: string): ScriptedProxy {
  const proxy = new ScriptedProxy(compute.client, id);
  proxies.push(proxy);
  proxy.start();
  return proxy;
}

const address = (app: string) => ({ project: project.id, app });
const specOf = (more: Partial<RequestOf<typeof apps.put>> = {}) => ({ command: ['node', 'server.js'], ...more });

function put(app: string, more: Partial<RequestOf<typeof apps.put>> = {}): Promise<App> {
  return compute.call(apps.put, { ...specOf(more), ...address(app) }, callerOf(project));
}

const get = (app: string) => compute.call(apps.get, address(app), callerOf(project));

async function instancesOf(app: string): Promise<Instance[]> {
  return (await compute.call(instances.list, address(app), callerOf(project))).items;
}

function reaches(app: string, state: App['status']['state'], more: Partial<App['status']> = {}): Promise<App> {
  return eventually(
    async () => {
      const found = await get(app);
      expect(found.status).toMatchObject({ state, ...more });
      return found;
    },
    { withinMs },
  );
}

describe('an app', () => {
  it('is deployed: placed, started, ready, and known to the proxy', async () => {
    join({ node: 'node-a' });
    const proxy = addProxy('proxy-a');
    const app = await put('hello', { replicas: 3 });
    expect(app).toMatchObject({ revision: 1, version: 1, status: { state: 'progressing', desired: 3 } });
    await reaches('hello', 'running', { ready: 3, updated: 3 });
    await eventually(() => expect(proxy.serving('hello')).toHaveLength(3));
    expect(proxy.sets.get('hello')).toMatchObject({ app: app.id, project: project.id, projectName: project.name });
  });
});
