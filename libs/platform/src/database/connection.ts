/** Connections to one PostgreSQL database: the pool that TypeORM works on, and one connection set apart. */
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import pg from 'pg';
import { DataSource, type EntitySchema, type QueryRunner, type ReplicationMode } from 'typeorm';
import { explainFailure, isClientTimeout, isConnectionFailure, isSerializationConflict } from './failure';
import { SnakeCaseNaming } from './naming';
import type { Query } from './rows';

export type EntityClass = (abstract new (...parameters: never[]) => object) | EntitySchema;

export interface ConnectionSettings {
  /** The service that owns the database: named in errors and in `pg_stat_activity`. */
  readonly service: string;
  readonly instance: string;
  /** `postgresql://user:password@host/database`, or `postgresql://user:password@/database?host=/folder`. */
  readonly url: string;
  readonly entities: readonly EntityClass[];
  readonly poolMax: number;
  /** A connection that is not made in this time counts as failed; so does a wait for a free one of the pool. */
  readonly connectTimeoutMs: number;
  /** PostgreSQL cancels a statement that takes longer. */
  readonly statementTimeoutMs: number;
  /** PostgreSQL ends a session whose open transaction gets no statement for this long, e.g. of a frozen process. */
  readonly idleInTransactionTimeoutMs: number;
}

export const connectionDefaults = {
  poolMax: 10,
  connectTimeoutMs: 5_000,
  statementTimeoutMs: 30_000,
  idleInTransactionTimeoutMs: 10_000,
};

/** PostgreSQL reports its own timeout first; the client's is for a server that answers nothing at all. */
const clientTimeoutExtraMs = 5_000;
const idleConnectionMs = 30_000;

function poolSettings(settings: ConnectionSettings, role: 'work' | 'control'): pg.PoolConfig {
  return {
    // Given whole: TypeORM's own parser of URLs knows no unix sockets.
    connectionString: settings.url,
    application_name: `alto/${settings.service}/${settings.instance}/${role}`.slice(0, 63),
    connectionTimeoutMillis: settings.connectTimeoutMs,
    idleTimeoutMillis: idleConnectionMs,
    statement_timeout: settings.statementTimeoutMs,
    idle_in_transaction_session_timeout: settings.idleInTransactionTimeoutMs,
    query_timeout: settings.statementTimeoutMs + clientTimeoutExtraMs,
    keepAlive: true,
    // A connection that breaks tells whoever waits for its answer; without a listener it would end the process as well.
    onConnect: (client) => void client.on('error', () => {}),
  };
}

export interface PoolState {
  readonly total: number;
  readonly idle: number;
  /** Callers that wait for a connection. */
  readonly waiting: number;
}

/** A TypeORM data source whose failures say what they mean and whose statements are spans of the current trace. */
export class ServiceDataSource extends DataSource {
  private readonly service: string;
  private readonly onConnectionFailure: () => void;
  private readonly lost: (() => AbortSignal) | undefined;

  /**
   * @param onConnectionFailure called, at times more than once, whenever a connection broke or could not be made
   * @param lost aborts when the server has stopped answering: statements under way fail with its reason
   */
  constructor(settings: ConnectionSettings, onConnectionFailure: () => void, lost?: () => AbortSignal) {
    super({
      type: 'postgres',
      driver: pg,
      database: databaseName(settings.url),
      extra: { ...poolSettings(settings, 'work'), max: settings.poolMax },
      entities: [...settings.entities] as never[],
      namingStrategy: new SnakeCaseNaming(),
      synchronize: false,
      migrationsRun: false,
      installExtensions: false,
      // Counters and sizes stay below 2^53: numbers, not TypeORM's strings.
      parseInt8: true,
      logging: false,
      poolErrorHandler: onConnectionFailure,
    });
    this.service = settings.service;
    this.onConnectionFailure = onConnectionFailure;
    this.lost = lost;
  }

  poolState(): PoolState {
    const { master } = this.driver as unknown as { master: pg.Pool };
    return { total: master.totalCount, idle: master.idleCount, waiting: master.waitingCount };
  }

  /** Every statement of TypeORM passes here. */
  override createQueryRunner(mode?: ReplicationMode): QueryRunner {
    const runner = super.createQueryRunner(mode);
    const run = runner.query.bind(runner) as (...all: unknown[]) => Promise<unknown>;
    const explained = async (sql: string, ...rest: unknown[]): Promise<unknown> => {
      const lost = this.lost?.();
      try {
        return await traced(this.service, sql, () => unlessLost(lost, () => run(sql, ...rest)));
      } catch (error) {
        if (isClientTimeout(error)) await breakConnection(runner);
        // Not waited for: the connection may be one that is still being made.
        if (lost?.aborted === true) void abandonConnection(runner).catch(() => {});
        if (isConnectionFailure(error)) this.onConnectionFailure();
        // Left as it is for the transaction to see, which runs again.
        throw isSerializationConflict(error) ? error : explainFailure(error, this.service);
      }
    };
    runner.query = explained as QueryRunner['query'];
    return runner;
  }
}

/**
 * A connection for heartbeats and probes alone, so that a pool full of work never costs a lease or looks like an
 * outage. It makes a new connection when the last one broke.
 */
export class ControlConnection {
  private readonly pool: pg.Pool;

  constructor(
    private readonly settings: ConnectionSettings,
    timeoutMs: number,
  ) {
    this.pool = new pg.Pool({
      ...poolSettings(settings, 'control'),
      max: 1,
      connectionTimeoutMillis: timeoutMs,
      statement_timeout: timeoutMs,
      query_timeout: timeoutMs,
    });
    // An idle connection that breaks is seen by the next query.
    this.pool.on('error', () => {});
  }

  /** @throws AltoError service_unavailable, timeout */
  readonly query: Query = async <Row>(sql: string, parameters: readonly unknown[] = []) => {
    let client: pg.PoolClient | undefined;
    try {
      client = await this.pool.connect();
      const { rows, rowCount } = await client.query(sql, [...parameters]);
      client.release();
      return { rows: rows as Row[], affected: rowCount ?? 0 };
    } catch (error) {
      client?.release(true);
      throw explainFailure(error, this.settings.service);
    }
  };

  close(): Promise<void> {
    return this.pool.end();
  }
}

/** The database's name, for messages; the client library knows all forms of the URL. */
export function databaseName(url: string): string {
  const { database } = new pg.Client({ connectionString: url });
  if (database === undefined || database === '')
    throw new Error('ALTO_DATABASE_URL names no database: end it in /name');
  return database;
}

/** Ends a connection whose answer never came; the pool makes a new one. */
async function breakConnection(runner: QueryRunner): Promise<void> {
  const client = (await runner.connect()) as { connection: { stream: { destroy(): void } } };
  client.connection.stream.destroy();
}

async function unlessLost<T>(lost: AbortSignal | undefined, run: () => Promise<T>): Promise<T> {
  if (lost === undefined) return run();
  lost.throwIfAborted();
  const { promise: abandoned, reject: abandon } = Promise.withResolvers<never>();
  const listener = () => abandon(lost.reason);
  lost.addEventListener('abort', listener, { once: true });
  try {
    return await Promise.race([run(), abandoned]);
  } finally {
    lost.removeEventListener('abort', listener);
  }
}

/** What TypeORM's runner for PostgreSQL has beside its interface. */
interface LateRunner {
  isReleased: boolean;
  releasePostgresConnection(error: Error): Promise<void>;
}

/**
 * Like {@link breakConnection}; a connection that is made only after its runner was released goes back to the pool. The
 * runner stands among those that hold one by then, and TypeORM closes nothing, but asks again and again, while one does.
 */
async function abandonConnection(runner: QueryRunner): Promise<void> {
  await breakConnection(runner);
  const late = runner as unknown as LateRunner;
  if (!late.isReleased) return;
  late.isReleased = false;
  await late.releasePostgresConnection(new Error('The database stopped answering.'));
}

async function traced<T>(service: string, sql: string, run: () => Promise<T>): Promise<T> {
  if (trace.getActiveSpan() === undefined) return run();
  const verb = /^\s*(\w+)/.exec(sql)?.[1] ?? 'SQL';
  const attributes = { 'db.system.name': 'postgresql', 'db.namespace': service, 'db.query.text': sql };
  const span = trace.getTracer('alto').startSpan(`postgresql ${verb}`, { kind: SpanKind.CLIENT, attributes });
  try {
    return await run();
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}
