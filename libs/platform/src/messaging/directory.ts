/**
 * Which instances of which services are there, what they serve and where: learned from their announcements.
 * It listens from its first use on, since most services have none for it.
 */
import { announceSubject, contractSubject, rollCallSubject, type ServiceName } from '@alto/contracts';
import type { NatsConnection } from '@nats-io/transport-node';
import { LRUCache } from 'lru-cache';
import type { Log } from '../service/log';
import {
  type Announcement,
  AnnouncementReader,
  type OperationContract,
  readContract,
  Refused,
  type ServiceContract,
} from './announcement';
import { announceEveryMs } from './announcer';
import type { NatsBus } from './bus';

const goneAfterMs = announceEveryMs * 3.5;
const contractWithinMs = 3_000;
const instancesMax = 10_000;

export interface ServiceInstance {
  readonly service: ServiceName;
  readonly version: string;
  readonly instance: string;
  readonly httpUrl: string | null;
  readonly state: 'ready' | 'draining';
  readonly startedAt: Date;
  /** Names the contract: two instances with the same digest serve the same operations. */
  readonly digest: string;
  readonly operations: readonly OperationContract[];
}

interface Seen {
  readonly announcement: Announcement;
  readonly contract: ServiceContract;
  seenAt: number;
}

type ChangeListener = () => void;

export class ServiceDirectory {
  private readonly reader: AnnouncementReader;
  private readonly seen = new Map<string, Seen>();
  private readonly contracts = new LRUCache<string, ServiceContract>({ max: 200 });
  private readonly fetching = new Set<string>();
  private readonly listeners = new Set<ChangeListener>();
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private stopListening: (() => void)[] = [];

  /** @param issuer account whose services are believed; undefined where NATS is used without credentials. */
  constructor(
    private readonly bus: NatsBus,
    private readonly log: Log,
    issuer: string | undefined,
  ) {
    this.reader = new AnnouncementReader(issuer);
  }

  /** Begins to listen and asks everyone to announce themselves; what is there is known moments later. */
  start(): void {
    if (this.timer !== undefined || this.stopped) return;
    this.stopListening.push(
      this.bus.onConnection((connection) => this.listen(connection)),
      // After an interruption nobody is taken for gone before there was time to be heard.
      this.bus.onState((state) => {
        if (state === 'connected') this.seen.forEach((one) => (one.seenAt = performance.now()));
      }),
    );
    this.timer = setInterval(() => this.forgetGone(), announceEveryMs / 5);
    this.timer.unref();
  }

  /** For good. */
  stop(): void {
    clearInterval(this.timer);
    this.stopped = true;
    for (const stop of this.stopListening.splice(0)) stop();
  }

  /** Live instances, of one service or of all, in a stable order. Draining ones take no new work. */
  instances(service?: ServiceName): ServiceInstance[] {
    this.start();
    return Array.from(this.seen.values())
      .filter(({ announcement }) => service === undefined || announcement.service === service)
      .map(toInstance)
      .sort((a, b) => compare(a.service, b.service) || compare(a.instance, b.instance));
  }

  /** Calls the listener after each change of `instances()`. @returns a function that ends that */
  onChange(listener: ChangeListener): () => void {
    this.start();
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private listen(connection: NatsConnection): void {
    connection.subscribe(announceSubject('*'), {
      callback: (error, message) => {
        if (error === null) void this.receive(message.subject, message.data);
      },
    });
    connection.publish(rollCallSubject);
  }

  /** Never rejects. */
  private async receive(subject: string, data: Uint8Array): Promise<void> {
    try {
      const announcement = this.reader.read(subject, JSON.parse(Buffer.from(data).toString()));
      if (announcement.state === 'left') return this.forget(announcement);
      await this.learn(announcement);
    } catch (error) {
      const reason = error instanceof Refused ? error.message : String(error);
      this.log.warn('An announcement was refused', { subject, reason });
    }
  }

  private async learn(announcement: Announcement): Promise<void> {
    const key = keyOf(announcement);
    if (this.isOld(announcement) || this.fetching.has(key)) return;
    if (!this.seen.has(key) && this.seen.size >= instancesMax) throw new Refused('there are too many instances');
    const contract = await this.contractOf(announcement);
    if (this.isOld(announcement)) return;
    const before = this.seen.get(key);
    this.seen.set(key, { announcement, contract, seenAt: performance.now() });
    if (before === undefined || !isSame(before.announcement, announcement)) this.changed();
  }

  /** Announcements may overtake each other while a contract is fetched, and be played again by who has heard them. */
  private isOld(announcement: Announcement): boolean {
    const known = this.seen.get(keyOf(announcement))?.announcement;
    if (known === undefined) return false;
    if (known.startedAtMs !== announcement.startedAtMs) return announcement.startedAtMs < known.startedAtMs;
    return announcement.sequence <= known.sequence;
  }

  private async contractOf(announcement: Announcement): Promise<ServiceContract> {
    const known = this.contracts.get(announcement.digest);
    if (known !== undefined && known.service === announcement.service) return known;
    const key = keyOf(announcement);
    this.fetching.add(key);
    try {
      const { connection } = this.bus;
      if (connection === undefined) throw new Refused('its contract cannot be fetched: NATS is away');
      const subject = contractSubject(announcement.service, announcement.instance);
      const message = await connection.request(subject, undefined, { timeout: contractWithinMs });
      const contract = readContract(announcement, message.string());
      this.contracts.set(announcement.digest, contract);
      return contract;
    } finally {
      this.fetching.delete(key);
    }
  }

  private forget(announcement: Announcement): void {
    if (!this.isOld(announcement) && this.seen.delete(keyOf(announcement))) this.changed();
  }

  private forgetGone(): void {
    if (this.bus.state !== 'connected') return;
    const oldest = performance.now() - goneAfterMs;
    const gone = Array.from(this.seen).filter(([, { seenAt }]) => seenAt < oldest);
    for (const [key] of gone) this.seen.delete(key);
    if (gone.length > 0) this.changed();
  }

  private changed(): void {
    for (const listener of this.listeners) {
      try {
        listener();
      } catch (error) {
        this.log.error('A listener to the service directory failed', { error });
      }
    }
  }
}

function keyOf({ service, instance }: Announcement): string {
  return `${service}/${instance}`;
}

function isSame(a: Announcement, b: Announcement): boolean {
  return a.state === b.state && a.digest === b.digest && a.httpUrl === b.httpUrl && a.version === b.version;
}

function toInstance({ announcement, contract }: Seen): ServiceInstance {
  const { service, version, instance, httpUrl, state, digest, startedAtMs } = announcement;
  const { operations } = contract;
  return {
    ...{ service, version, instance, httpUrl, digest, operations },
    state: state === 'ready' ? 'ready' : 'draining',
    startedAt: new Date(startedAtMs),
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
