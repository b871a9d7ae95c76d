/** The providers of messaging that every service has, each under its class. */
import { Injectable, type OnApplicationShutdown, type Provider } from '@nestjs/common';
import { inboxPrefix, type ServiceName } from '@alto/contracts';
import { Histogram } from 'prom-client';
import { CONFIG, type ServiceConfig } from '../service/config';
import { Health } from '../service/health';
import { Lifecycle } from '../service/lifecycle';
import { Log } from '../service/log';
import { Metrics } from '../service/metrics';
import { Announcer } from './announcer';
import { NatsBus } from './bus';
import { CallerTokenVerifier } from './caller-token';
import { AltoClient } from './client';
import { ServiceDirectory } from './directory';
import { HttpCallerGuard } from './http-caller.guard';
import { readCredentials } from './nats-credentials';
import { AltoNatsServer, type AltoServerOptions } from './server';

/**
 * The bus closes last. Nest calls this after servers have closed; `onModuleDestroy` would come before, and cut off the
 * replies of what is still being served.
 */
@Injectable()
class MessagingShutdown implements OnApplicationShutdown {
  constructor(
    private readonly bus: NatsBus,
    private readonly announcer: Announcer,
    private readonly directory: ServiceDirectory,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    this.announcer.leave();
    this.directory.stop();
    await this.bus.close();
  }
}

/**
 * NatsBus, AltoClient, AltoNatsServer, Announcer, ServiceDirectory, CallerTokenVerifier and HttpCallerGuard; they need
 * CONFIG, Log, Health, Lifecycle and Metrics. The bus connects in the background from the moment it is made.
 *
 * A service is brought up by `app.connectMicroservice({ strategy: app.get(AltoNatsServer) })`, `startAllMicroservices()`,
 * `app.get(Announcer).start(url)`, and taken down by `Lifecycle.drain()` (announces that), `AltoNatsServer.drain()`,
 * `app.close()` (says farewell and closes the bus).
 */
export function messagingProviders(service: ServiceName): Provider[] {
  return [
    {
      provide: NatsBus,
      inject: [CONFIG, Log, Health],
      useFactory: (config: ServiceConfig, log: Log, health: Health) => createBus(service, config, log, health),
    },
    {
      provide: CallerTokenVerifier,
      inject: [CONFIG],
      useFactory: (config: ServiceConfig) => new CallerTokenVerifier(config.ALTO_CALLER_PUBLIC_KEYS),
    },
    {
      provide: AltoClient,
      inject: [NatsBus, Log, CONFIG],
      useFactory: (bus: NatsBus, log: Log, config: ServiceConfig) =>
        new AltoClient(bus, log, { tracing: isTracing(config) }),
    },
    {
      provide: AltoNatsServer,
      inject: [NatsBus, CallerTokenVerifier, Log, CONFIG, Metrics, Health],
      useFactory: (
        bus: NatsBus,
        verifier: CallerTokenVerifier,
        log: Log,
        config: ServiceConfig,
        metrics: Metrics,
        health: Health,
      ) =>
        new AltoNatsServer(bus, verifier, log, {
          readyToServe: () => health.whenReady(),
          service,
          instance: config.ALTO_SERVICE_INSTANCE,
          tracing: isTracing(config),
          drainTimeoutMs: config.ALTO_SHUTDOWN_TIMEOUT_MS,
          observe: observeOperations(metrics),
        }),
    },
    {
      provide: Announcer,
      inject: [NatsBus, AltoNatsServer, Log, CONFIG, Lifecycle],
      useFactory: (bus: NatsBus, server: AltoNatsServer, log: Log, config: ServiceConfig, lifecycle: Lifecycle) => {
        const {
          ALTO_SERVICE_INSTANCE: instance,
          ALTO_SERVICE_VERSION: version,
          ALTO_NATS_CREDS_FILE: credsFile,
        } = config;
        const announcer = new Announcer(bus, server, log, { service, instance, version, credsFile });
        lifecycle.onDrain(() => announcer.drain());
        return announcer;
      },
    },
    {
      provide: ServiceDirectory,
      inject: [NatsBus, Log, CONFIG],
      useFactory: (bus: NatsBus, log: Log, config: ServiceConfig) => createDirectory(bus, log, config),
    },
    HttpCallerGuard,
    MessagingShutdown,
  ];
}

function createBus(service: ServiceName, config: ServiceConfig, log: Log, health: Health): NatsBus {
  const bus = new NatsBus(
    {
      url: config.ALTO_NATS_URL,
      credsFile: config.ALTO_NATS_CREDS_FILE,
      name: `${service}/${config.ALTO_SERVICE_INSTANCE}`,
      // An agent's instance is its node.
      inboxPrefix: inboxPrefix(service, service === 'node-agent' ? config.ALTO_SERVICE_INSTANCE : undefined),
    },
    log,
  );
  health.register('nats', () => bus.notReadyReason());
  bus.start();
  return bus;
}

/** Where the service has credentials of its own, it believes users of the same account only. */
function createDirectory(bus: NatsBus, log: Log, config: ServiceConfig): ServiceDirectory {
  const credsFile = config.ALTO_NATS_CREDS_FILE;
  return new ServiceDirectory(bus, log, credsFile === undefined ? undefined : readCredentials(credsFile).issuer);
}

/** Whether calls are recorded as spans. */
export function isTracing(config: ServiceConfig): boolean {
  return config.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined;
}

function observeOperations(metrics: Metrics): NonNullable<AltoServerOptions['observe']> {
  const duration = new Histogram({
    name: 'alto_operation_duration_seconds',
    help: 'Time to serve an operation, by its outcome: ok or the code of the error',
    labelNames: ['operation', 'outcome'] as const,
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [metrics.registry],
  });
  return (operation, outcome, seconds) => duration.observe({ operation, outcome }, seconds);
}
