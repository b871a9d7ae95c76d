/**
 * Keeps compute informed and itself told: every few seconds, on a change, and when nudged. Nothing else instructs the
 * agent. While compute is away the machine goes on with what it has on disk.
 */
import { computeOperations, type OutputOf, type RequestOf } from '@alto/contracts';
import type { AltoClient, Log, MessageSubscription } from '@alto/platform';
import type { Supervisor } from '../workloads/supervisor';
import type { InstancesService } from './instances.service';

type SyncRequest = RequestOf<typeof computeOperations.nodes.sync>;
type SyncAnswer = OutputOf<typeof computeOperations.nodes.sync>;

/** Changes that come together are reported together. */
const SETTLE_MS = 50;
const TIMEOUT_MS = 3_000;
/** The next report comes anyway: no need to wait long for someone to take this one. */
const PATIENCE_MS = 500;
/** After one that was not taken: another instance of compute may answer the next. */
const RETRY_MS = 1_000;

export interface ComputeSyncOptions {
  client: Pick<AltoClient, 'call' | 'subscribe'>;
  instances: Pick<InstancesService, 'apply' | 'observed'>;
  supervisor: Pick<Supervisor, 'onChange'>;
  /** All that is said besides the instances. */
  describe: () => Omit<SyncRequest, 'instances'>;
  everyMs: number;
  log: Log;
}

export class ComputeSync {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private readonly leaving = new AbortController();
  private connected: boolean | undefined;
  private reported = '';
  private nudges: MessageSubscription | undefined;
  private endWatch: (() => void) | undefined;

  constructor(private readonly options: ComputeSyncOptions) {}

  start(): void {
    const { client, supervisor, describe } = this.options;
    this.nudges = client.subscribe(`alto.nudge.node.${describe().node}`, () => this.soon());
    this.endWatch = supervisor.onChange(() => {
      if (this.fingerprint() !== this.reported) this.soon();
    });
    this.soon();
  }

  async stop(): Promise<void> {
    this.leaving.abort(new Error('The agent is leaving'));
    clearTimeout(this.timer);
    this.nudges?.unsubscribe();
    this.endWatch?.();
    await this.running;
  }

  private soon(): void {
    if (this.running) this.again = true;
    else this.schedule(SETTLE_MS);
  }

  private schedule(delayMs: number): void {
    if (this.leaving.signal.aborted) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), delayMs);
  }

  private async run(): Promise<void> {
    this.again = false;
    this.running = this.sync();
    await this.running;
    this.running = undefined;
    const pauseMs = this.connected === false ? Math.min(RETRY_MS, this.options.everyMs) : this.options.everyMs;
    this.schedule(this.again ? SETTLE_MS : pauseMs);
  }

  /** Never rejects: the next one comes anyway. */
  private async sync(): Promise<void> {
    const { client, instances, describe, log } = this.options;
    const fingerprint = this.fingerprint();
    try {
      const request = { ...describe(), instances: instances.observed() };
      const answer: SyncAnswer = await client.call(computeOperations.nodes.sync, request, {
        timeoutMs: TIMEOUT_MS,
        patienceMs: PATIENCE_MS,
        signal: this.leaving.signal,
      });
      this.reported = fingerprint;
      await instances.apply(answer);
      if (this.connected !== true) log.info('In step with compute', { generation: answer.generation });
      this.connected = true;
    } catch (error) {
      if (this.connected !== false && !this.leaving.signal.aborted)
        log.warn('Not in step with compute; what runs goes on', { error });
      this.connected = false;
    }
  }

  /**
   * What compute must know at once. The words of a reason can wait, but not those of one that is getting ready: should
   * its time be up before the next report, they are what its people are told.
   */
  private fingerprint(): string {
    const facts = this.options.instances
      .observed()
      .map(({ reason, ...rest }) => (rest.state === 'starting' ? { reason, ...rest } : rest));
    return JSON.stringify(facts);
  }
}
