/** Announces this instance, answers for its contract, and speaks the NATS services protocol for it. */
import { announceSubject, contractSubject, rollCallSubject, type ServiceName } from '@alto/contracts';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../service/log';
import { type Announcement, contractText, digestOf, encodeAnnouncement } from './announcement';
import type { NatsBus } from './bus';
import { readCredentials } from './nats-credentials';
import type { AltoNatsServer } from './server';
import { answerServiceProtocol } from './service-protocol';

/** Three of them missing, and the directory of others takes the instance for gone. */
export const announceEveryMs = 5_000;

export interface AnnouncerOptions {
  readonly service: ServiceName;
  readonly instance: string;
  readonly version: string;
  readonly credsFile?: string | undefined;
}

export class Announcer {
  private readonly contract: string;
  private readonly digest: string;
  private readonly startedAtMs = Date.now();
  private sequence = 0;
  private state: Announcement['state'] = 'ready';
  private httpUrl: string | null = null;
  private timer: NodeJS.Timeout | undefined;
  private stopListening: (() => void)[] = [];

  constructor(
    private readonly bus: NatsBus,
    private readonly server: AltoNatsServer,
    private readonly log: Log,
    private readonly options: AnnouncerOptions,
  ) {
    this.contract = contractText(options.service);
    this.digest = digestOf(this.contract);
  }

  /** Begins to announce, as soon as NATS is there and without waiting for it. @param httpUrl where its HTTP host is reached */
  start(httpUrl: string | null): void {
    this.httpUrl = httpUrl;
    this.stopListening.push(
      this.bus.onConnection((connection) => this.serve(connection)),
      this.bus.onState((state) => {
        if (state === 'connected') this.announce();
      }),
    );
    this.announce();
    this.timer = setInterval(() => this.announce(), announceEveryMs);
    this.timer.unref();
  }

  /** Others send it nothing new from now on. */
  drain(): void {
    if (this.timer === undefined || this.state !== 'ready') return;
    this.state = 'draining';
    this.announce();
  }

  /** Others forget it at once. */
  leave(): void {
    if (this.timer === undefined) return;
    clearInterval(this.timer);
    this.state = 'left';
    this.announce();
    this.timer = undefined;
    for (const stop of this.stopListening.splice(0)) stop();
  }

  private serve(connection: NatsConnection): void {
    const { service, instance } = this.options;
    connection.subscribe(contractSubject(service, instance), {
      callback: (error, message) => {
        if (error === null) message.respond(this.contract);
      },
    });
    connection.subscribe(rollCallSubject, {
      callback: (error) => {
        if (error === null) this.announce();
      },
    });
    const metadata = () => ({
      digest: this.digest,
      state: this.state,
      ...(this.httpUrl !== null && { httpUrl: this.httpUrl }),
    });
    answerServiceProtocol(connection, this.options, () => this.server.served, metadata);
  }

  private announce(): void {
    const { connection } = this.bus;
    if (connection === undefined) return;
    const { service, instance, version, credsFile } = this.options;
    const announcement: Announcement = {
      ...{ service, version, instance, httpUrl: this.httpUrl, state: this.state, digest: this.digest },
      startedAtMs: this.startedAtMs,
      sequence: ++this.sequence,
    };
    try {
      // Read each time: the file may have been replaced.
      const credentials = credsFile === undefined ? undefined : readCredentials(credsFile);
      connection.publish(announceSubject(service), encodeAnnouncement(announcement, credentials));
    } catch (error) {
      this.log.error('The service could not be announced', { error });
    }
  }
}
