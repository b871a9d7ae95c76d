/**
 * The service's connection to NATS. It is made in the background: a service starts, and stays up, without NATS, is not
 * ready meanwhile, and never gives up. Subscriptions belong in `onConnection`, so that they are made on every
 * connection object; a reconnect within one brings them back by itself.
 */
import {
  connect,
  type ConnectionOptions,
  type NatsConnection,
  PermissionViolationError,
} from '@nats-io/transport-node';
import type { Log } from '../service/log';
import { Pulse } from '../service/pulse';
import { credentialsAuthenticator } from './nats-credentials';
import { SendQueue } from './send-queue';

const connectTimeoutMs = 5_000;
const retryWaitMs = 200;
const retryJitterMs = 400;
/** A server that stays silent is given up after three of these; that it is silent is noticed before. */
const pingIntervalMs = 5_000;

/** Longer than a server on a busy machine stands still, and short beside the time that a request has. */
const silence = { everyMs: 400, silentAfterMs: 3_000 };

export interface BusOptions {
  /** NATS URLs separated by commas. */
  readonly url: string;
  /** Read again at each connect, so that new credentials need no restart. */
  readonly credsFile?: string | undefined;
  /** Shown by NATS's monitoring, e.g. `compute/1f3a`. */
  readonly name: string;
  /** All inboxes of this connection lie under it; the service's permissions name it. */
  readonly inboxPrefix: string;
}

export type BusState = 'connecting' | 'connected' | 'disconnected' | 'closed';
type ConnectionListener = (connection: NatsConnection) => void;
type StateListener = (state: BusState) => void;
type RefusalListener = (subject: string) => void;

export class NatsBus {
  /** For messages that come many at a time. */
  readonly queue = new SendQueue();
  private current: NatsConnection | undefined;
  private currentState: BusState = 'connecting';
  private connecting: Promise<void> | undefined;
  private readonly stopping = new AbortController();
  private readonly connectionListeners = new Set<ConnectionListener>();
  private readonly stateListeners = new Set<StateListener>();
  private readonly refusalListeners = new Set<RefusalListener>();

  constructor(
    private readonly options: BusOptions,
    private readonly log: Log,
  ) {}

  get state(): BusState {
    return this.currentState;
  }

  get inboxPrefix(): string {
    return this.options.inboxPrefix;
  }

  /** The connection while it can carry messages. */
  get connection(): NatsConnection | undefined {
    return this.currentState === 'connected' ? this.current : undefined;
  }

  /** Begins to connect and returns at once. */
  start(): void {
    this.connecting ??= this.keepConnected();
  }

  /**
   * Calls the listener with the present connection object and each that replaces it.
   * @returns a function that ends that.
   */
  onConnection(listener: ConnectionListener): () => void {
    this.connectionListeners.add(listener);
    if (this.current !== undefined && !this.current.isClosed()) listener(this.current);
    return () => this.connectionListeners.delete(listener);
  }

  /** @returns a function that ends that. */
  onState(listener: StateListener): () => void {
    this.stateListeners.add(listener);
    return () => this.stateListeners.delete(listener);
  }

  /** Calls the listener with each subject that NATS's permissions did not let this service publish on. */
  onRefusal(listener: RefusalListener): void {
    this.refusalListeners.add(listener);
  }

  /** Waits until messages can be carried. @returns undefined when that did not happen within the time. */
  async connected(withinMs: number): Promise<NatsConnection | undefined> {
    if (this.connection !== undefined || this.currentState === 'closed' || withinMs <= 0) return this.connection;
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        stopListening();
        resolve();
      };
      const timer = setTimeout(finish, withinMs);
      const stopListening = this.onState((state) => (state === 'connected' || state === 'closed') && finish());
    });
    return this.connection;
  }

  /** For `Health.register`. */
  notReadyReason(): string | undefined {
    return this.currentState === 'connected' ? undefined : `NATS is ${this.currentState}`;
  }

  /** Waits until the server has all that was sent so far; at once when there is no connection. */
  async flush(): Promise<void> {
    this.queue.flush();
    await this.connection?.flush().catch(() => undefined);
  }

  /** Sends what is buffered, waits until the server has it, and closes. Never waits for a server that is away. */
  async close(): Promise<void> {
    this.stopping.abort();
    const connection = this.current;
    if (connection !== undefined && !connection.isClosed()) {
      await within(this.flush(), connectTimeoutMs);
      await connection.close();
    }
    this.setState('closed');
    await this.connecting;
  }

  private async keepConnected(): Promise<void> {
    let failures = 0;
    while (!this.stopping.signal.aborted) {
      try {
        const connection = await connect(this.connectionOptions());
        failures = 0;
        await this.serve(connection);
      } catch (error) {
        if (failures++ % 50 === 0) this.log.warn('NATS cannot be reached; trying on', { url: this.options.url, error });
      }
      await this.pause();
    }
  }

  /** Returns when the connection object has ended for good, which happens on `close` or by a fault of the client. */
  private async serve(connection: NatsConnection): Promise<void> {
    if (this.stopping.signal.aborted) return connection.close();
    this.current = connection;
    this.setState('connected');
    this.log.info('Connected to NATS', { server: connection.getServer() });
    for (const listener of this.connectionListeners) listener(connection);
    const pulse = this.feelPulse(connection);
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') this.lost();
      if (status.type === 'reconnect') this.setState('connected');
      if (status.type === 'error') this.refused(status.error);
    }
    pulse.stop();
    this.lost();
  }

  /** A server that stays silent carries no messages: whoever waits for one hears of it now, not when its time is over. */
  private feelPulse(connection: NatsConnection): Pulse {
    return new Pulse(
      () => connection.flush(),
      (isSilent) => {
        if (connection !== this.current || connection.isClosed()) return;
        if (isSilent) this.lost('NATS does not answer; waiting for it');
        else this.setState('connected');
      },
      silence,
    );
  }

  private refused(error: Error): void {
    this.log.error('NATS refused something', { error });
    if (!(error instanceof PermissionViolationError) || error.operation !== 'publish') return;
    for (const listener of this.refusalListeners) listener(error.subject);
  }

  private lost(why = 'The connection to NATS was lost; reconnecting'): void {
    if (this.currentState !== 'connected' || this.stopping.signal.aborted) return;
    this.log.warn(why);
    this.setState('disconnected');
  }

  private setState(state: BusState): void {
    if (this.currentState === 'closed' || this.currentState === state) return;
    this.currentState = state;
    for (const listener of this.stateListeners) listener(state);
  }

  private connectionOptions(): ConnectionOptions {
    const { url, credsFile, name, inboxPrefix } = this.options;
    return {
      servers: url.split(',').map((one) => one.trim()),
      name,
      inboxPrefix,
      timeout: connectTimeoutMs,
      pingInterval: pingIntervalMs,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: () => retryWaitMs + Math.floor(Math.random() * retryJitterMs),
      // A server that is being given new credentials refuses the old ones for a moment: not a reason to give up.
      ignoreAuthErrorAbort: true,
      // Off: a stack trace made for each request costs more than the request.
      noAsyncTraces: true,
      ...(credsFile !== undefined && { authenticator: credentialsAuthenticator(credsFile) }),
    };
  }

  private pause(): Promise<void> {
    const waitMs = retryWaitMs + Math.random() * retryJitterMs;
    return new Promise((resolve) => {
      if (this.stopping.signal.aborted) return resolve();
      const timer = setTimeout(resolve, waitMs);
      this.stopping.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** Waits for the promise, at most for the time; what becomes of it does not matter. */
async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}
