/**
 * How a service lives: configuration, log, HTTP, NATS and database are brought up in an order in which each part may
 * be missing for a while, and taken down in an order in which nothing accepted is lost.
 */
import 'reflect-metadata';
import { type DynamicModule, Global, Module, type Provider, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { ServiceName } from '@alto/contracts';
import { clockProviders, databaseProviders, type DatabaseDefinition } from '../database';
import { AltoNatsServer, Announcer, logContext, messagingProviders, traceIdOfCall } from '../messaging';
import { CONFIG, ConfigError, type ConfigOf, type ConfigSchema, loadConfig, type ServiceConfig } from './config';
import { Health } from './health';
import { createHttpAdapter, HttpHost } from './http-host';
import { Lifecycle } from './lifecycle';
import { createLog, Log, NestLog } from './log';
import { Metrics } from './metrics';
import { ProblemFilter } from './problem.filter';
import { startTracing } from './trace';

export interface ServiceDefinition {
  readonly name: ServiceName;
  readonly module: Type | DynamicModule;
  readonly config: ConfigSchema;
  /** Left out by a service that keeps nothing in PostgreSQL. */
  readonly database?: DatabaseDefinition;
  /** The load balancer sends requests to its HTTP host, so it stops as a lame duck. */
  readonly fronted?: boolean;
}

export interface RunningService {
  readonly app: NestFastifyApplication;
  readonly url: string;
  /** Finishes what was accepted, then closes everything. Calling it twice stops once. */
  stop(): Promise<void>;
}

@Global()
@Module({})
class PlatformModule {
  static of(definition: ServiceDefinition, config: ServiceConfig, log: Log): DynamicModule {
    const providers: Provider[] = [
      { provide: CONFIG, useValue: config },
      { provide: Log, useValue: log },
      Lifecycle,
      Health,
      Metrics,
      ...clockProviders(),
      ...messagingProviders(definition.name),
      ...(definition.database === undefined ? [] : databaseProviders(definition.name, definition.database)),
    ];
    return { module: PlatformModule, imports: [definition.module], providers, exports: providers };
  }
}

/** Runs a service until SIGTERM or SIGINT: the whole of its `main.ts`. */
export async function bootstrap(definition: ServiceDefinition): Promise<void> {
  const config = configOrExit(definition);
  const log = logOf(definition, config);
  process.on('unhandledRejection', (error) => exitOnBug(log, error));
  process.on('uncaughtException', (error) => exitOnBug(log, error));
  const service = await startService(definition, config, log);
  const stop = (signal: NodeJS.Signals) => {
    log.info('Stopping', { signal });
    void service.stop().then(
      () => process.exit(0),
      (error: unknown) => exitOnBug(log, error),
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

/** Starts a service in this process; tests call it, and `bootstrap` does. */
export async function startService(
  definition: ServiceDefinition,
  config: ServiceConfig,
  log: Log = logOf(definition, config),
): Promise<RunningService> {
  const stopTracing = await startTracing(definition.name, config);
  const app = await NestFactory.create<NestFastifyApplication>(
    PlatformModule.of(definition, config, log),
    createHttpAdapter(config),
    { logger: new NestLog(log), abortOnError: false },
  );
  app.useGlobalFilters(new ProblemFilter(log, traceIdOfCall));
  const lifecycle = app.get(Lifecycle);
  const http = new HttpHost(app, config, lifecycle, app.get(Health), app.get(Metrics));
  const nats = app.get(AltoNatsServer);
  http.prepare();
  app.connectMicroservice({ strategy: nats });
  await app.startAllMicroservices();
  await http.listen();
  lifecycle.serve();
  log.info('Listening', { url: http.url });
  // Beside an older instance that serves, a new one takes no request before it can answer it.
  void app
    .get(Health)
    .whenReady()
    .then(() => {
      if (lifecycle.draining) return;
      app.get(Announcer).start(http.url);
      log.info('Serving');
    });

  const stop = async () => {
    const failures = await lifecycle.drain();
    for (const error of failures) log.error('A part of the service failed to drain', { error });
    await Promise.all([nats.drain(), http.stop(definition.fronted === true)]);
    await app.close();
    await stopTracing();
    log.info('Stopped');
  };
  let stopping: Promise<void> | undefined;
  return { app, url: http.url, stop: () => (stopping ??= stop()) };
}

/** The configuration from the environment. One that is not valid is told on standard error, and ends the process. */
export function configOrExit<C extends ConfigSchema>(
  definition: Pick<ServiceDefinition, 'name' | 'database'> & { readonly config: C },
): ConfigOf<C> {
  try {
    const config = loadConfig(definition.config, process.env);
    if (definition.database !== undefined && config.ALTO_DATABASE_URL === undefined) {
      throw new ConfigError([`ALTO_DATABASE_URL: ${definition.name} keeps its state in PostgreSQL and needs this`]);
    }
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(
      `${definition.name}: ${error.message}\nEvery setting is described in docs/configuration.md.\n`,
    );
    process.exit(78); // EX_CONFIG of sysexits.h: starting again will not help
  }
}

/** The log of a service, as `bootstrap` makes it. */
export function logOf(definition: Pick<ServiceDefinition, 'name'>, config: ServiceConfig): Log {
  return createLog({
    level: config.ALTO_LOG_LEVEL,
    service: definition.name,
    instance: config.ALTO_SERVICE_INSTANCE,
    version: config.ALTO_SERVICE_VERSION,
    context: logContext,
  });
}

/** A state that nobody foresaw: going on could harm, so the supervisor starts the service afresh. */
function exitOnBug(log: Log, error: unknown): void {
  log.error('The service stops because of a bug', { error });
  process.exitCode = 1;
  setImmediate(() => process.exit(1));
}
