/**
 * A service as the gateway sees one: it announces a contract of the test's making over real NATS, answers its
 * operations, and checks callers' tokens like any service.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  announceSubject,
  type AltoError,
  type Caller,
  callHeaders,
  contractSubject,
  inboxPrefix,
  type Operation,
  rollCallSubject,
  type ServiceName,
  toProblem,
} from '@alto/contracts';
import {
  type Announcement,
  CallerTokenVerifier,
  contractText,
  createLog,
  digestOf,
  encodeAnnouncement,
  NatsBus,
  readCredentials,
  readRequestHeaders,
} from '@alto/platform';
import { headers, type Msg, type NatsConnection } from '@nats-io/transport-node';

export interface FakeServiceOptions {
  natsUrl: string;
  service: ServiceName;
  version?: string;
  operations: readonly Operation[];
  /** Public key of the gateway whose callers are believed. */
  callerPublicKeys: string;
  answer?: (operation: Operation, input: Record<string, unknown>, caller: Caller) => unknown;
  credsFile?: string;
  /** Serves uploads and downloads. */
  http?: RequestListener;
}

export class FakeService {
  private readonly bus: NatsBus;
  private readonly verifier: CallerTokenVerifier;
  private readonly contract: string;
  private readonly instance = Math.random().toString(36).slice(2, 12);
  private readonly startedAtMs = Date.now();
  private server: Server | undefined;
  private httpUrl: string | null = null;
  private sequence = 0;

  constructor(private readonly options: FakeServiceOptions) {
    const { natsUrl: url, service, credsFile } = options;
    const log = createLog({ level: 'silent', service: 'fake', instance: 'fake', version: '0' });
    this.bus = new NatsBus({ url, credsFile, name: service, inboxPrefix: inboxPrefix(service) }, log);
    this.verifier = new CallerTokenVerifier(options.callerPublicKeys);
    this.contract = contractText(service, options.operations);
  }

  async start(): Promise<this> {
    await this.listen();
    this.bus.start();
    const connection = await this.bus.connected(10_000);
    if (!connection) throw new Error('The fake service cannot reach NATS');
    const { service, operations } = this.options;
    connection.subscribe(contractSubject(service, this.instance), {
      callback: (_error, message) => void message.respond(this.contract),
    });
    connection.subscribe(rollCallSubject, { callback: () => this.announce('ready') });
    for (const operation of operations) this.serve(connection, operation);
    await connection.flush();
    this.announce('ready');
    return this;
  }

  announce(state: Announcement['state']): void {
    const { service, version = '1.0.0', credsFile } = this.options;
    const credentials = credsFile === undefined ? undefined : readCredentials(credsFile);
    const announcement = { service, version, instance: this.instance, httpUrl: this.httpUrl, state };
    const digest = digestOf(this.contract);
    const rest = { digest, startedAtMs: this.startedAtMs, sequence: ++this.sequence };
    this.bus.connection?.publish(
      announceSubject(service),
      encodeAnnouncement({ ...announcement, ...rest }, credentials),
    );
  }

  /** Says farewell and is gone. */
  async stop(): Promise<void> {
    this.announce('left');
    await this.bus.close();
    await this.vanish();
  }

  /** Its HTTP host is gone, without a word to anybody. */
  async vanish(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => (this.server?.listening ? this.server.close(resolve) : resolve(undefined)));
  }

  private serve(connection: NatsConnection, operation: Operation): void {
    connection.subscribe(operation.subject, {
      queue: operation.service,
      callback: (_, message) => void this.respond(operation, message),
    });
  }

  private async respond(operation: Operation, message: Msg): Promise<void> {
    try {
      const caller = this.verifier.verify(readRequestHeaders(message).callerToken);
      const output = await this.options.answer?.(operation, message.json(), caller);
      message.respond(JSON.stringify(output ?? {}));
    } catch (error) {
      const failed = headers();
      failed.set(callHeaders.error, (error as AltoError).code);
      message.respond(JSON.stringify(toProblem(error as AltoError)), { headers: failed });
    }
  }

  private async listen(): Promise<void> {
    const { http } = this.options;
    if (!http) return;
    this.server = createServer(http);
    await new Promise<void>((resolve) => this.server?.listen(0, '127.0.0.1', resolve));
    this.httpUrl = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
}
