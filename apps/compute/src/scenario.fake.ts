/** Compute on real NATS and PostgreSQL with scripted agents and proxies, and the words to tell a story with them. */
import { type App, computeOperations, type Instance, type Node, type OutputOf, type RequestOf } from '@alto/contracts';
import type { MessageSubscription, ServiceDefinition } from '@alto/platform';
import {
  callerOf,
  createDatabase,
  eventually,
  type NatsServer,
  newTestProject,
  type RunningClient,
  startClient,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { ComputeModule } from './compute.module';
import { computeConfig } from './config';
import { computeDatabase } from './database';
import { ScriptedProxy } from './endpoints/proxy.fake';
import { ScriptedAgent, type ScriptedAgentOptions } from './nodes/agent.fake';

export const withinMs = 60_000;
const { apps, instances, nodes } = computeOperations;
type PutRequest = RequestOf<typeof apps.put>;

/** What secrets are sealed with in tests. */
export const testMasterKey = Buffer.alloc(32, 7).toString('base64');

/**
 * Soon enough for a test to wait for, and not so soon that a busy machine takes who is slow for lost: longer than what is
 * not excused of a standstill (`stallMs`).
 */
const impatience = {
  ALTO_NODE_SUSPECT_AFTER_MS: '4000',
  ALTO_NODE_LOST_AFTER_MS: '5000',
  ALTO_PROXY_EXPIRES_AFTER_MS: '4000',
  ALTO_FAILED_HOLD_MS: '300',
};

export class Scenario {
  readonly project = newTestProject();
  private readonly agents: ScriptedAgent[] = [];
  private readonly proxies: ScriptedProxy[] = [];
  private readonly services = new Set<TestService>();
  private first: TestService | undefined;

  private constructor(
    readonly nats: NatsServer,
    readonly database: TestDatabase,
    /** Of a connection of its own: agents and proxies outlive any instance of compute. */
    private readonly others: RunningClient,
  ) {}

  /** @param serving false for a test that starts compute in a way of its own */
  static async begin(nats: NatsServer, { serving = true }: { serving?: boolean } = {}): Promise<Scenario> {
    const database = await createDatabase({ name: 'compute', ...computeDatabase });
    const scenario = new Scenario(nats, database, await startClient(nats.url, 'node-agent'));
    if (serving) scenario.first = await scenario.startCompute();
    return scenario;
  }

  async end(): Promise<void> {
    await Promise.all([...this.agents, ...this.proxies].map((fake) => fake.stop()));
    await Promise.all([...this.services].map((service) => this.stopCompute(service)));
    await this.others.stop();
    await this.database.drop();
  }

  /** The instance of compute that requests are made through; the newest one that has been started. */
  get compute(): TestService {
    if (this.first === undefined) throw new Error('compute has not been started');
    return this.first;
  }

  async startCompute(
    module: ServiceDefinition['module'] = ComputeModule,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<TestService> {
    const definition = { name: 'compute', module, config: computeConfig, database: computeDatabase } as const;
    const options = {
      natsUrl: this.nats.url,
      databaseUrl: this.database.url,
      settings: { ALTO_MASTER_KEY: testMasterKey, ...impatience, ...settings },
    };
    const service = await startTestService(definition, options);
    this.services.add(service);
    this.first = service;
    await eventually(async () => expect((await fetch(`${service.url}/readyz`)).status).toBe(200), { withinMs });
    return service;
  }

  async stopCompute(service: TestService): Promise<void> {
    this.services.delete(service);
    await service.stop();
  }

  join(options: ScriptedAgentOptions): ScriptedAgent {
    const agent = new ScriptedAgent(this.others.client, options);
    this.agents.push(agent);
    agent.start();
    return agent;
  }

  addProxy(id: string): ScriptedProxy {
    const proxy = new ScriptedProxy(this.others.client, id);
    this.proxies.push(proxy);
    proxy.start();
    return proxy;
  }

  watchNudges(proxy: string, listener: () => void): MessageSubscription {
    return this.others.client.subscribe(`alto.nudge.proxy.${proxy}`, listener);
  }

  address(app: string): { project: string; app: string } {
    return { project: this.project.id, app };
  }

  put(app: string, more: Partial<PutRequest> = {}): Promise<OutputOf<typeof apps.put>> {
    const request = { command: ['node', 'server.js'], healthyMs: 0, ...more, ...this.address(app) };
    return this.compute.call(apps.put, request, callerOf(this.project));
  }

  get(app: string): Promise<App> {
    return this.compute.call(apps.get, this.address(app), callerOf(this.project));
  }

  delete(app: string): Promise<App> {
    return this.compute.call(apps.delete, this.address(app), callerOf(this.project));
  }

  async instancesOf(app: string): Promise<Instance[]> {
    return (await this.compute.call(instances.list, this.address(app), callerOf(this.project))).items;
  }

  async nodes(): Promise<Node[]> {
    return (await this.compute.call(nodes.list, {}, callerOf(null, 'operator'))).items;
  }

  /** Waits until the app is in the state. */
  reaches(app: string, state: App['status']['state'], more: Partial<App['status']> = {}): Promise<App> {
    return eventually(
      async () => {
        const found = await this.get(app);
        expect(found.status).toMatchObject({ state, ...more });
        return found;
      },
      { withinMs },
    );
  }

  isGone(app: string): Promise<void> {
    return eventually(() => expect(this.get(app)).rejects.toMatchObject({ code: 'not_found' }), { withinMs });
  }
}
