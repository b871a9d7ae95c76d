/** Compute as processes that a test kills and freezes, on real NATS and PostgreSQL, with a scripted agent and proxy that outlive them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, computeOperations, type Instance, type OutputOf, type RequestOf } from '@alto/contracts';
import {
  buildChild,
  callerOf,
  type Child,
  type ChildProgram,
  createDatabase,
  type NatsServer,
  newTestProject,
  type RunningClient,
  startClient,
  startNats,
  type TestDatabase,
  testCallerPublicKeys,
  tokenOf,
} from '@alto/testing';
import pg from 'pg';
import { computeDatabase } from '../database';
import { ScriptedProxy } from '../endpoints/proxy.fake';
import { ScriptedAgent } from '../nodes/agent.fake';
import { testMasterKey } from '../scenario.fake';
import type { MortalComputeInput, Order } from './mortal-compute.fake';

const { apps, instances } = computeOperations;
export const withinMs = 60_000;
/** Processes that are loaded ahead, since that takes longer than all the rest. */
const sparesKept = 2;
const changeMs = 10_000;
const lookMs = 2_000;
/** Short, for a frozen compute is asked as often as one that answers. */
const syncMs = 500;
const capacity = { cpuMillis: 256_000, memoryBytes: 2 ** 40 };

export class MortalScenario {
  readonly project = newTestProject();
  readonly agent: ScriptedAgent;
  readonly proxy: ScriptedProxy;
  private readonly spares: Child[] = [];

  private constructor(
    private readonly folder: string,
    private readonly nats: NatsServer,
    private readonly database: TestDatabase,
    readonly sql: pg.Client,
    private readonly program: ChildProgram,
    /** Its requests' answers are points at which compute can die, those of the others are not. */
    private readonly gateway: RunningClient,
    private readonly observer: RunningClient,
    private readonly others: RunningClient,
  ) {
    this.agent = new ScriptedAgent(others.client, { node: 'node-a', capacity, timeoutMs: syncMs });
    this.proxy = new ScriptedProxy(others.client, 'proxy-a', syncMs);
    this.agent.start();
    this.proxy.start();
  }

  static async begin(): Promise<MortalScenario> {
    const folder = mkdtempSync(join(tmpdir(), 'alto-mortal-'));
    const nats = await startNats();
    const database = await createDatabase({ name: 'compute', ...computeDatabase });
    const sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
    const program = await buildChild(new URL('./mortal-compute.fake.ts', import.meta.url));
    const [gateway, observer, others] = [
      await startClient(nats.url, 'gateway'),
      await startClient(nats.url, 'search'),
      await startClient(nats.url, 'node-agent'),
    ];
    return new MortalScenario(folder, nats, database, sql, program, gateway, observer, others);
  }

  async end(): Promise<void> {
    await Promise.all([this.agent.stop(), this.proxy.stop()]);
    await this.program.remove();
    await Promise.all([this.gateway.stop(), this.observer.stop(), this.others.stop(), this.sql.end()]);
    await this.database.drop();
    await this.nats.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Starts another compute and waits until it serves. */
  async startCompute(): Promise<Child> {
    const child = this.takeSpare();
    await child.said({ said: 'loaded' }, { withinMs });
    this.tell(child, { order: 'start' });
    await child.said({ said: 'ready' }, { withinMs });
    return child;
  }

  /** Nobody waits for the leases of the dead and the frozen to run out. */
  async expireLeases(): Promise<void> {
    await this.sql.query('UPDATE alto_lease_heartbeat SET expires_at = clock_timestamp()');
  }

  tell(child: Child, order: Order): void {
    child.tell(order);
  }

  put(app: string, more: Partial<RequestOf<typeof apps.put>> = {}): Promise<OutputOf<typeof apps.put>> {
    const input = { command: ['node'], healthyMs: 0, ...more, ...this.address(app) };
    return this.gateway.client.call(apps.put, input, this.options());
  }

  /** Null where there is none. A frozen compute keeps a call from being answered: it is soon made again. */
  async find(app: string): Promise<App | null> {
    try {
      return await this.observer.client.call(apps.get, this.address(app), this.options(lookMs));
    } catch (error) {
      if ((error as { code?: string }).code === 'not_found') return null;
      throw error;
    }
  }

  async instancesOf(app: string): Promise<Instance[]> {
    return (await this.observer.client.call(instances.list, this.address(app), this.options(lookMs))).items;
  }

  private address(app: string) {
    return { project: this.project.id, app };
  }

  private options(timeoutMs = changeMs) {
    return { callerToken: tokenOf(callerOf(this.project)), timeoutMs, patienceMs: timeoutMs };
  }

  private takeSpare(): Child {
    const settings = {
      ALTO_NATS_URL: this.nats.url,
      ALTO_DATABASE_URL: this.database.url,
      ALTO_STATE_DIR: this.folder,
      ALTO_CALLER_PUBLIC_KEYS: testCallerPublicKeys,
      ALTO_MASTER_KEY: testMasterKey,
      ALTO_LAME_DUCK_MS: '0',
      ALTO_LOG_LEVEL: 'silent',
    };
    while (this.spares.length <= sparesKept)
      this.spares.push(this.program.start({ settings } satisfies MortalComputeInput));
    return this.spares.shift()!;
  }
}
