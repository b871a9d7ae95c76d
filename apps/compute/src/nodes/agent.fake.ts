/**
 * An agent for tests, in memory and scripted: it reports and obeys as a real one does, and starts what it is told in
 * no time, or fails at it as the script says. It also checks what it is told: a generation never goes back.
 */
import {
  computeOperations,
  type DesiredInstance,
  httpPort,
  type ObservedInstance,
  type OutputOf,
  type RequestOf,
} from '@alto/contracts';
import { type AltoClient, keyIdOf, type MessageSubscription } from '@alto/platform';

export type Behaviour = Partial<Pick<ObservedInstance, 'state' | 'reason' | 'exitCode' | 'restarts'>>;

export interface ScriptedAgentOptions {
  readonly node: string;
  /** The same as the node's id unless given. */
  readonly name?: string;
  readonly capacity?: { cpuMillis: number; memoryBytes: number };
  /** How long it waits for an answer before it asks again. */
  readonly timeoutMs?: number;
  /** What becomes of an instance that it is to run; ready unless told otherwise. */
  readonly behave?: (instance: DesiredInstance) => Behaviour;
}

type Report = RequestOf<typeof computeOperations.nodes.sync>;
type Instructions = OutputOf<typeof computeOperations.nodes.sync>;

const syncEveryMs = 200;
let nextPort = 20_000;

export class ScriptedAgent {
  readonly running = new Map<string, ObservedInstance>();
  /** Every id that it has ever been told to run. */
  readonly started = new Set<string>();
  /** Instructions that it did not follow, for somebody newer has given others. */
  readonly refused: string[] = [];
  instructions: Instructions = { generation: 0, fencingToken: 0, instances: [] };
  behave: (instance: DesiredInstance) => Behaviour;
  /** Ids of the master keys on its disk; it does not speak of them while undefined. */
  masterKeys: string[] | undefined;
  private incarnation = 1;
  private sequence = 0;
  private timer: NodeJS.Timeout | undefined;
  private subscription: MessageSubscription | undefined;
  private syncing: Promise<void> = Promise.resolve();
  private isDue = false;

  constructor(
    private readonly client: AltoClient,
    private readonly options: ScriptedAgentOptions,
  ) {
    this.behave = options.behave ?? (() => ({}));
  }

  get node(): string {
    return this.options.node;
  }

  /** Reports now, every moment and whenever it is nudged. */
  start(): void {
    this.timer = setInterval(() => this.soon(), syncEveryMs);
    this.subscription = this.client.subscribe(`alto.nudge.node.${this.node}`, () => this.soon());
    this.soon();
  }

  /** Falls silent; what runs goes on. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.subscription?.unsubscribe();
    this.isDue = false;
    await this.syncing;
  }

  /** Starts again, as after a crash of the agent: counts its starts, remembers what runs. */
  restart(): void {
    this.incarnation += 1;
    this.sequence = 0;
    this.start();
  }

  report(): Report {
    this.sequence += 1;
    return {
      node: this.node,
      name: this.options.name ?? this.node,
      agentVersion: '0.0.0-scripted',
      capacity: this.options.capacity ?? { cpuMillis: 8_000, memoryBytes: 2 ** 33 },
      incarnation: this.incarnation,
      sequence: this.sequence,
      seenGeneration: this.instructions.generation,
      instances: [...this.running.values()],
      ...(this.masterKeys !== undefined && { masterKeys: this.masterKeys, sealedWith: this.sealedWith() }),
    };
  }

  send(report: Report): Promise<Instructions> {
    const { timeoutMs = 2_000 } = this.options;
    return this.client.call(computeOperations.nodes.sync, report, { timeoutMs, patienceMs: timeoutMs });
  }

  /** One report, and what follows from the answer. An agent has one under way at a time: the older of two is refused. */
  async sync(): Promise<void> {
    const synced = this.syncing.then(() => this.exchange());
    this.syncing = synced.catch(() => {});
    await synced;
  }

  /** Changes what is observed of a running instance, as a crash or a failing readiness check does. */
  set(id: string, observation: Behaviour): void {
    const instance = this.running.get(id);
    if (instance !== undefined) this.running.set(id, { ...instance, ...observation });
    this.soon();
  }

  private sealedWith(): string[] {
    const sealed = this.instructions.instances.flatMap(({ secretEnv = [] }) => secretEnv);
    return [...new Set(sealed.flatMap((secret) => (secret.sealed === null ? [] : keyIdOf(secret.sealed))))];
  }

  private soon(): void {
    if (this.isDue) return;
    this.isDue = true;
    this.syncing = this.syncing.then(async () => {
      if (!this.isDue) return;
      this.isDue = false;
      await this.exchange().catch(() => {});
    });
  }

  private async exchange(): Promise<void> {
    this.obey(await this.send(this.report()));
  }

  private obey(instructions: Instructions): void {
    const { generation, fencingToken } = this.instructions;
    if (instructions.generation < generation || instructions.fencingToken < fencingToken) {
      const [told, before] = [instructions, this.instructions].map((one) => `${one.generation} (${one.fencingToken})`);
      this.refused.push(`told generation ${told} after ${before}`);
      return;
    }
    this.instructions = instructions;
    const wanted = new Map(instructions.instances.map((instance) => [instance.id, instance]));
    let hasNews = false;
    for (const id of this.running.keys()) if (!wanted.has(id)) this.running.delete(id);
    for (const instance of wanted.values()) hasNews = this.bring(instance) || hasNews;
    if (hasNews) this.soon();
  }

  private bring(instance: DesiredInstance): boolean {
    const known = this.running.get(instance.id);
    if (instance.want === 'stopped') {
      if (known?.state === 'exited') return false;
      this.running.set(instance.id, {
        ...(known ?? observation(instance.id)),
        state: 'exited',
        exitCode: 0,
        reason: 'ended as told',
      });
      return true;
    }
    if (known !== undefined) return false;
    this.started.add(instance.id);
    this.running.set(instance.id, { ...observation(instance.id, instance.ports), ...this.behave(instance) });
    return true;
  }
}

function observation(id: string, ports: readonly string[] = []): ObservedInstance {
  const address = () => ({ ip: '127.0.0.1', port: nextPort++ });
  const further = ports.filter((name) => name !== httpPort);
  return {
    id,
    state: 'ready',
    reason: 'answers',
    address: ports.includes(httpPort) ? address() : null,
    ports: Object.fromEntries(further.map((name) => [name, address()])),
    restarts: 0,
    exitCode: null,
    exitSignal: null,
    startedAt: new Date().toISOString(),
  };
}
