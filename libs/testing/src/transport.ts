/** The NATS transport alone: a server with given controllers, or a client, each on a connection of its own. */
import { generateKeyPairSync } from 'node:crypto';
import { Controller, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { inboxPrefix, type InputOf, type Operation, type OutputOf, type ServiceName } from '@alto/contracts';
import {
  AltoClient,
  AltoNatsServer,
  type AltoServerOptions,
  type CallContext,
  CallerTokenSigner,
  CallerTokenVerifier,
  createLog,
  Handles,
  Log,
  NatsBus,
  NestLog,
} from '@alto/platform';

export interface CallerKeys {
  /** As ALTO_CALLER_PUBLIC_KEYS has them. */
  readonly publicKeys: string;
  readonly privateKey: string;
}

export function newCallerKeys(): CallerKeys {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    publicKeys: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  };
}

export function callerSigner({ privateKey }: CallerKeys): CallerTokenSigner {
  return new CallerTokenSigner(privateKey);
}

const keys = newCallerKeys();

/** Signs the tokens that a {@link startTransport} without keys of its own believes. */
export const transportSigner = callerSigner(keys);

export interface TransportOptions extends Partial<AltoServerOptions> {
  readonly url: string;
  readonly service: ServiceName;
  readonly controllers: readonly Type[];
  readonly credsFile?: string;
  readonly callerPublicKeys?: string;
  readonly log?: Log;
}

export interface RunningTransport {
  readonly bus: NatsBus;
  readonly server: AltoNatsServer;
  stop(): Promise<void>;
}

/** Starts a server of its own connection; ready when it is connected and NATS has its subscriptions. */
export async function startTransport(options: TransportOptions): Promise<RunningTransport> {
  const { service, controllers, instance = Math.random().toString(36).slice(2, 10), log = silentLog() } = options;
  const bus = startBus(options.url, service, options.credsFile, log);
  const verifier = new CallerTokenVerifier(options.callerPublicKeys ?? keys.publicKeys);
  const server = new AltoNatsServer(bus, verifier, log, { ...options, service, instance });
  const root = class {};
  Module({ controllers: [...controllers], providers: controllers.map(() => ({ provide: Log, useValue: log })) })(root);
  const app = await NestFactory.createMicroservice(root, { strategy: server, logger: new NestLog(log) });
  try {
    await app.listen();
  } catch (error) {
    await bus.close();
    throw error;
  }
  await bus.connected(10_000).then((connection) => connection?.flush());
  const stop = async () => {
    await app.close();
    await bus.close();
  };
  return { bus, server, stop };
}

export interface RunningClient {
  readonly bus: NatsBus;
  readonly client: AltoClient;
  stop(): Promise<void>;
}

/** A client as a service has one. */
export async function startClient(
  url: string,
  service: string = 'gateway',
  credsFile?: string,
  node?: string,
): Promise<RunningClient> {
  const bus = startBus(url, service, credsFile, silentLog(), node);
  const client = new AltoClient(bus, silentLog());
  await bus.connected(10_000);
  return { bus, client, stop: () => bus.close() };
}

export function startBus(
  url: string,
  service: string,
  credsFile: string | undefined,
  log: Log = silentLog(),
  node?: string,
): NatsBus {
  const bus = new NatsBus({ url, credsFile, name: service, inboxPrefix: inboxPrefix(service, node) }, log);
  bus.start();
  return bus;
}

export function silentLog(): Log {
  return createLog({ level: 'silent', service: 'test', instance: 'test', version: '0' });
}

/** A controller that serves one operation by a function. */
export function controllerOf<O extends Operation>(
  operation: O,
  serve: (input: InputOf<O>, call: CallContext) => Promise<OutputOf<O>> | OutputOf<O>,
): Type {
  class OneOperation {
    serve(input: InputOf<O>, call: CallContext): Promise<OutputOf<O>> | OutputOf<O> {
      return serve(input, call);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(OneOperation.prototype, 'serve') as TypedPropertyDescriptor<
    typeof OneOperation.prototype.serve
  >;
  Handles(operation)(OneOperation.prototype, 'serve', descriptor);
  Controller()(OneOperation);
  return OneOperation;
}
