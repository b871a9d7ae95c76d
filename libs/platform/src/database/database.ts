/**
 * The service's database. It is connected to in the background, and migrated before it is used: a service starts and
 * stays up without PostgreSQL, is not ready meanwhile, and goes on by itself when PostgreSQL is there (again).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager, QueryRunner } from 'typeorm';
import { Bell } from '../service/bell';
import type { Log } from '../service/log';
import { Pulse } from '../service/pulse';
import { type ConnectionSettings, ControlConnection, type PoolState, ServiceDataSource } from './connection';
import { driverError, explainFailure, isConnectionGone, isSerializationConflict, unavailable } from './failure';
import { type MigrationClass, runMigrations } from './migrations';
import { backoffMs, pause } from './pause';
import { type Query, queryIn, queryOn } from './rows';

export interface DatabaseSettings extends ConnectionSettings {
  readonly migrations: readonly MigrationClass[];
}

export interface TransactionOptions {
  /** READ COMMITTED unless given. */
  readonly isolation?: 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';
}

/** A transaction that everything its body does takes part in. */
interface Whole {
  readonly transaction: EntityManager;
  /** What the body left running goes on by itself. */
  isOver: boolean;
}

type State = 'connecting' | 'ready' | 'lost' | 'stopped';
type Listener = () => void;

const conflictAttemptsMax = 8;
const conflictBackoffFirstMs = 5;
const conflictBackoffMaxMs = 250;
const reconnectFirstMs = 100;
const reconnectMaxMs = 5_000;
/** How often a database that answers is asked whether it still does; a failing query asks at once. */
const probeEveryMs = 2_000;
/** Longer than a silence may last: that, not a probe that comes late, tells that the server has fallen silent. */
const probeTimeoutMs = 5_000;
const probeBackoffMaxMs = 1_000;
/** A frozen server breaks no connection: who waits for it hears of it after this, not when its time is over. */
const silence = { everyMs: 500, silentAfterMs: 4_000 };
const migrationLimits = { poolMax: 1, statementTimeoutMs: 30 * 60_000, idleInTransactionTimeoutMs: 60_000 };
const openTransactionsWaitMs = 5_000;

export class Database {
  private state: State = 'connecting';
  private reason = 'not connected yet';
  private source: ServiceDataSource | undefined;
  private readonly controlConnection: ControlConnection;
  private readonly stopping = new AbortController();
  private readonly doubt = new Bell();
  private readonly readyListeners = new Set<Listener>();
  private readonly afterCommitOf = new WeakMap<QueryRunner, Listener[]>();
  private readonly open = new Set<Promise<unknown>>();
  private readonly wholes = new AsyncLocalStorage<Whole>();
  private running: Promise<void> | undefined;
  private lost = new AbortController();

  constructor(
    private readonly settings: DatabaseSettings,
    private readonly log: Log,
  ) {
    this.controlConnection = new ControlConnection(settings, probeTimeoutMs);
  }

  /** Begins to connect and returns at once. */
  start(): void {
    this.running ??= this.run();
  }

  /** For reads and single statements. @throws AltoError service_unavailable while there is no database */
  get manager(): EntityManager {
    if (this.source === undefined || this.state !== 'ready') throw unavailable(this.settings.service, this.reason);
    return this.whole() ?? this.source.manager;
  }

  /**
   * Runs the body in a transaction. It is run again when PostgreSQL undid it because of a concurrent one, so the body
   * changes nothing but the database. What must follow the commit goes through {@link afterCommit}.
   * @throws AltoError service_unavailable (also when the connection broke at the commit: the outcome is unknown then)
   */
  async transaction<T>(body: (transaction: EntityManager) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const whole = this.whole();
    if (whole !== undefined) return this.within(whole, body);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.track(this.runOnce(body, options));
      } catch (error) {
        if (isConnectionGone(error)) throw unavailable(this.settings.service, 'the connection broke', error);
        if (!isSerializationConflict(error) || attempt === conflictAttemptsMax)
          throw explainFailure(error, this.settings.service);
        await pause(backoffMs(attempt, conflictBackoffFirstMs, conflictBackoffMaxMs), this.stopping.signal);
      }
    }
  }

  /**
   * Runs the body so that all it does with this database is one transaction: its transactions become savepoints of it,
   * its reads see what it has written, and nothing stays when it fails. It may be run again, like a transaction's body.
   */
  asOne<T>(body: (transaction: EntityManager) => Promise<T>): Promise<T> {
    return this.transaction(async (transaction) => {
      const whole = { transaction, isOver: false };
      try {
        return await this.wholes.run(whole, () => body(transaction));
      } finally {
        whole.isOver = true;
      }
    });
  }

  /** Calls the listener once the transaction has committed; never when it is rolled back. */
  afterCommit(transaction: EntityManager, listener: Listener): void {
    const listeners = transaction.queryRunner && this.afterCommitOf.get(transaction.queryRunner);
    if (listeners === undefined) throw new Error('afterCommit needs the manager that Database.transaction hands out');
    listeners.push(listener);
  }

  /** One statement on a connection of the pool. */
  readonly query: Query = async <Row>(sql: string, parameters?: readonly unknown[]) => {
    const { manager } = this;
    if (manager.queryRunner !== undefined) return queryIn(manager)<Row>(sql, parameters);
    const runner = manager.dataSource.createQueryRunner();
    try {
      return await queryOn(runner)<Row>(sql, parameters);
    } finally {
      await runner.release();
    }
  };

  /** The connection set apart for heartbeats: one short statement at a time, no transactions. */
  readonly control: Query = (sql, parameters) => this.controlConnection.query(sql, parameters);

  /** Connections of the pool, for metrics. */
  connections(): PoolState {
    return this.source?.poolState() ?? { total: 0, idle: 0, waiting: 0 };
  }

  /** Undefined when ready, else why not, in words. */
  notReady(): string | undefined {
    return this.state === 'ready'
      ? undefined
      : `the database of ${this.settings.service} is not available: ${this.reason}`;
  }

  /** Waits until the database is ready or the signal aborts. */
  whenReady(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        signal.removeEventListener('abort', finish);
        this.readyListeners.delete(finish);
        resolve();
      };
      if (signal.aborted || this.state === 'ready') return resolve();
      signal.addEventListener('abort', finish, { once: true });
      this.readyListeners.add(finish);
    });
  }

  /** Waits for open transactions, within bounds, and closes all connections. */
  async stop(): Promise<void> {
    if (this.stopping.signal.aborted) return this.running;
    this.stopping.abort();
    const limit = new AbortController();
    await Promise.race([Promise.allSettled(this.open), pause(openTransactionsWaitMs, limit.signal)]);
    limit.abort();
    await this.running;
    this.become('stopped', 'the service is stopping');
    await Promise.all([this.source?.destroy(), this.controlConnection.close()]);
  }

  private whole(): EntityManager | undefined {
    const whole = this.wholes.getStore();
    return whole === undefined || whole.isOver ? undefined : whole.transaction;
  }

  /** A savepoint: what fails in it is undone alone, and what should follow its commit is forgotten. */
  private async within<T>(whole: EntityManager, body: (transaction: EntityManager) => Promise<T>): Promise<T> {
    const listeners = this.afterCommitOf.get(whole.queryRunner!);
    const before = listeners?.length ?? 0;
    try {
      return await whole.transaction(body);
    } catch (error) {
      listeners?.splice(before);
      throw error;
    }
  }

  private async runOnce<T>(body: (transaction: EntityManager) => Promise<T>, options: TransactionOptions): Promise<T> {
    const listeners: Listener[] = [];
    const run = (transaction: EntityManager) => {
      this.afterCommitOf.set(transaction.queryRunner!, listeners);
      return body(transaction);
    };
    const { isolation } = options;
    const result = await (isolation === undefined
      ? this.manager.transaction(run)
      : this.manager.transaction(isolation, run));
    for (const listener of listeners) listener();
    return result;
  }

  private async track<T>(work: Promise<T>): Promise<T> {
    this.open.add(work);
    try {
      return await work;
    } finally {
      this.open.delete(work);
    }
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.connect();
        break;
      } catch (error) {
        this.reason = reasonOf(error);
        if (attempt % 20 === 0) this.log.warn('The database is not usable yet; trying on', { error });
        await pause(backoffMs(attempt, reconnectFirstMs, reconnectMaxMs), signal);
      }
    }
    const pulse = this.feelPulse();
    while (!signal.aborted) await this.watch();
    pulse.stop();
  }

  private feelPulse(): Pulse {
    return new Pulse(
      () => this.control('SELECT 1'),
      (isSilent) => {
        if (!isSilent) return this.doubt.ring();
        if (this.state !== 'ready') return;
        this.log.warn('The database does not answer; waiting for it');
        this.become('lost', 'it does not answer');
      },
      silence,
    );
  }

  private async connect(): Promise<void> {
    await this.migrate();
    const source = new ServiceDataSource(
      this.settings,
      () => this.doubt.ring(),
      () => this.lost.signal,
    );
    await source.initialize();
    this.source = source;
    this.become('ready', '');
    this.log.info('The database is ready');
  }

  /** On connections of its own: migrations, and the wait for those of another instance, may take long. */
  private async migrate(): Promise<void> {
    const source = new ServiceDataSource({ ...this.settings, ...migrationLimits, entities: [] }, () => {});
    const close = () => (source.isInitialized ? source.destroy() : undefined);
    // Cut off in the middle a migration is rolled back, and runs again at the next start.
    const cutOff = () => void close()?.catch(() => {});
    this.stopping.signal.addEventListener('abort', cutOff, { once: true });
    try {
      await source.initialize();
      const ran = await runMigrations(source, this.settings.migrations);
      if (ran.length > 0) this.log.info('Migrated the database', { migrations: ran });
    } finally {
      this.stopping.signal.removeEventListener('abort', cutOff);
      await close();
    }
  }

  /** Waits for the next probe or a doubt, and asks the database whether it answers. */
  private async watch(): Promise<void> {
    const { signal } = this.stopping;
    await this.doubt.wait(probeEveryMs, signal);
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.control('SELECT 1');
        if (this.state === 'lost') await this.recover();
        return;
      } catch (error) {
        if (this.state === 'ready') this.log.warn('The database was lost; trying on', { error });
        this.become('lost', reasonOf(error));
        await pause(backoffMs(attempt, reconnectFirstMs, probeBackoffMaxMs), signal);
      }
    }
  }

  /** What came back may be an older copy, so it is migrated like at the first connection. */
  private async recover(): Promise<void> {
    await this.migrate();
    this.become('ready', '');
    this.log.info('The database is back');
  }

  private become(state: State, reason: string): void {
    const wasReady = this.state === 'ready';
    this.state = state;
    this.reason = reason;
    if (state === 'lost') this.lost.abort(unavailable(this.settings.service, reason));
    if (state === 'ready' && !wasReady) this.lost = new AbortController();
    if (state === 'ready' && !wasReady) for (const listener of [...this.readyListeners]) listener();
  }
}

/** What the client library said, without the sentence that {@link unavailable} puts around it. */
function reasonOf(error: unknown): string {
  const cause = driverError((error as { cause?: unknown } | undefined)?.cause);
  return cause?.message ?? String(error);
}
