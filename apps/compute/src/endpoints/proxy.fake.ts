/** A proxy for tests, in memory: it applies what it is told at once, or when the test lets it. */
import { computeOperations, type EndpointSet } from '@alto/contracts';
import type { AltoClient, MessageSubscription } from '@alto/platform';

const syncEveryMs = 200;

export class ScriptedProxy {
  /** Sets as applied, by app name. */
  readonly sets = new Map<string, EndpointSet>();
  /** Instances with requests in flight; undefined is a proxy that cannot tell. */
  busy: Set<string> | undefined = new Set();
  /** Requests and failures that it has counted, by instance. */
  readonly traffic = new Map<string, { requests: number; failures: number }>();
  /** While true it asks, and applies nothing. */
  isStuck = false;
  applied = 0;
  /** How soon compute wanted the next report, in its last answer. */
  reportWithinMs: number | undefined;
  /** Called with each set as it is applied. */
  onApplied: (set: EndpointSet) => void = () => {};
  private timer: NodeJS.Timeout | undefined;
  private subscription: MessageSubscription | undefined;
  private syncing: Promise<void> = Promise.resolve();
  private isDue = false;

  constructor(
    private readonly client: AltoClient,
    readonly id: string,
    /** How long it waits for an answer before it asks again. */
    private readonly timeoutMs = 2_000,
  ) {}

  start(): void {
    this.timer = setInterval(() => this.soon(), syncEveryMs);
    this.subscription = this.client.subscribe(`alto.nudge.proxy.${this.id}`, () => this.soon());
    this.soon();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.subscription?.unsubscribe();
    this.isDue = false;
    await this.syncing;
  }

  /** Ids of the instances of an app that get requests. */
  serving(app: string): string[] {
    const endpoints = this.sets.get(app)?.endpoints ?? [];
    return endpoints.filter(({ state }) => state === 'ready').map(({ instance }) => instance);
  }

  /** Sends as many requests to every instance that takes any, of which so many fail. */
  request(app: string, requests: number, failing: (instance: string) => number = () => 0): void {
    for (const { instance, state, weight } of this.sets.get(app)?.endpoints ?? []) {
      if (state !== 'ready' || weight === 0) continue;
      const before = this.traffic.get(instance) ?? { requests: 0, failures: 0 };
      const failures = before.failures + failing(instance);
      this.traffic.set(instance, { requests: before.requests + requests, failures });
    }
  }

  async sync(): Promise<void> {
    const input = {
      proxy: this.id,
      appliedGeneration: this.applied,
      ...(this.busy !== undefined && { busy: [...this.busy] }),
      traffic: [...this.traffic].map(([instance, counts]) => ({ instance, ...counts })),
    };
    const answer = await this.client.call(computeOperations.proxies.sync, input, {
      timeoutMs: this.timeoutMs,
      patienceMs: this.timeoutMs,
    });
    this.reportWithinMs = answer.reportWithinMs;
    if (this.isStuck) return;
    if (answer.complete) this.sets.clear();
    for (const set of answer.sets) this.apply(set);
    const isNew = answer.generation !== this.applied;
    this.applied = answer.generation;
    if (isNew) this.soon();
  }

  private apply(set: EndpointSet): void {
    if (set.deleted) this.sets.delete(set.appName);
    else this.sets.set(set.appName, set);
    this.onApplied(set);
  }

  private soon(): void {
    if (this.isDue) return;
    this.isDue = true;
    this.syncing = this.syncing.then(async () => {
      if (!this.isDue) return;
      this.isDue = false;
      await this.sync().catch(() => {});
    });
  }
}
