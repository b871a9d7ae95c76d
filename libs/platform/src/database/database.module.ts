/** Wires the database's parts into a service; the order in which they start and stop is here. */
import {
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type Provider,
} from '@nestjs/common';
import { eventsStreamMaker, inboxPrefix, type ServiceName } from '@alto/contracts';
import { connect } from '@nats-io/transport-node';
import { credentialsAuthenticator } from '../messaging/nats-credentials';
import { AltoNatsServer } from '../messaging/server';
import { CONFIG, type ServiceConfig } from '../service/config';
import { Health } from '../service/health';
import { Lifecycle } from '../service/lifecycle';
import { Log } from '../service/log';
import { Metrics } from '../service/metrics';
import { termsKeeper } from './call-terms-keeper';
import { Clock, SystemClock } from './clock';
import { connectionDefaults, type EntityClass } from './connection';
import { Database } from './database';
import { type EventsConnector, openEventsStream, streamDefaults, type StreamLimits } from './events-stream';
import { Leases } from './leases';
import { registerDatabaseMetrics } from './metrics';
import type { MigrationClass } from './migrations';
import { Outbox } from './outbox';
import { Relay } from './relay';

/** What a service keeps in its database. */
export interface DatabaseDefinition {
  readonly entities: readonly EntityClass[];
  /** In the order in which they run; only ever appended to. */
  readonly migrations: readonly MigrationClass[];
}

export function clockProviders(): Provider[] {
  return [
    {
      provide: Clock,
      useFactory: (config: ServiceConfig) => new SystemClock(config.ALTO_CLOCK_OFFSET_FILE),
      inject: [CONFIG],
    },
  ];
}

/** Database, Outbox and Leases for injection, and the relay at work behind them. */
export function databaseProviders(service: ServiceName, definition: DatabaseDefinition): Provider[] {
  return [
    {
      provide: Database,
      useFactory: (config: ServiceConfig, log: Log) => createDatabase(service, definition, config, log),
      inject: [CONFIG, Log],
    },
    {
      provide: Outbox,
      useFactory: (database: Database, clock: Clock) => new Outbox(database, clock),
      inject: [Database, Clock],
    },
    {
      provide: Leases,
      useFactory: (database: Database, config: ServiceConfig, log: Log) =>
        new Leases(database, holderName(service, config), log),
      inject: [Database, CONFIG, Log],
    },
    {
      provide: DatabaseLifecycle,
      useFactory: (
        database: Database,
        outbox: Outbox,
        leases: Leases,
        clock: Clock,
        config: ServiceConfig,
        log: Log,
        health: Health,
        lifecycle: Lifecycle,
        metrics: Metrics,
        server: AltoNatsServer,
      ) => {
        // Leases of its own: the relay goes on while the service's own work is already ended.
        const relayLeases = new Leases(database, holderName(service, config), log);
        const open = () => openEventsStream(eventsConnector(service, config), limitsOfStream(service, config));
        const relay = new Relay({ database, outbox, leases: relayLeases, clock, log, open });
        health.register('database', () => database.notReady());
        registerDatabaseMetrics(metrics.registry, database, [leases, relayLeases], relay);
        lifecycle.onDrain(() => leases.stop());
        server.onTerms(termsKeeper(database, clock));
        return new DatabaseLifecycle(database, leases, relay);
      },
      inject: [Database, Outbox, Leases, Clock, CONFIG, Log, Health, Lifecycle, Metrics, AltoNatsServer],
    },
  ];
}

/**
 * Starts in the background, ends in order: work under leases when the service drains; then, when no handler runs any
 * more, the relay, which publishes the last events; the database last. (Nest's `onModuleDestroy` comes before servers
 * close: nothing that handlers use may end there.)
 */
export class DatabaseLifecycle implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    private readonly database: Database,
    private readonly leases: Leases,
    private readonly relay: Relay,
  ) {}

  onApplicationBootstrap(): void {
    this.database.start();
    this.relay.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.leases.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.relay.stop();
    await this.database.stop();
  }
}

function createDatabase(
  service: ServiceName,
  definition: DatabaseDefinition,
  config: ServiceConfig,
  log: Log,
): Database {
  const url = config.ALTO_DATABASE_URL;
  if (url === undefined) throw new Error(`ALTO_DATABASE_URL: ${service} keeps its state in PostgreSQL and needs this`);
  const settings = {
    ...connectionDefaults,
    ...definition,
    service,
    instance: config.ALTO_SERVICE_INSTANCE,
    url,
    poolMax: config.ALTO_DATABASE_POOL_MAX,
  };
  return new Database(settings, log);
}

function holderName(service: ServiceName, config: ServiceConfig): string {
  return `${service}/${config.ALTO_SERVICE_INSTANCE}`;
}

/** Where NATS is used without credentials nobody is kept from making the stream, and a service may run alone. */
function limitsOfStream(service: ServiceName, config: ServiceConfig): StreamLimits | undefined {
  return service === eventsStreamMaker || config.ALTO_NATS_CREDS_FILE === undefined ? streamDefaults : undefined;
}

function eventsConnector(service: ServiceName, config: ServiceConfig): EventsConnector {
  const credsFile = config.ALTO_NATS_CREDS_FILE;
  return () =>
    connect({
      servers: config.ALTO_NATS_URL.split(',').map((url) => url.trim()),
      name: `${holderName(service, config)}/relay`,
      inboxPrefix: inboxPrefix(service),
      reconnect: false,
      timeout: 5_000,
      pingInterval: 5_000,
      maxPingOut: 2,
      ...(credsFile !== undefined && { authenticator: credentialsAuthenticator(credsFile) }),
    });
}
