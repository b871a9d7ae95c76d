/** The JetStream stream of events, over a connection that ends with the first disconnect. */
import { eventsStream, eventsStreamMaker } from '@alto/contracts';
import {
  DiscardPolicy,
  jetstream,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { PublishedEvent, WaitingEvent } from './outbox.store';

/**
 * Makes a connection with `reconnect: false`. A client that reconnects sends what it had buffered to whatever server
 * it finds, even one that has lost its tail: then a resource's third event would lie before its second.
 */
export type EventsConnector = () => Promise<NatsConnection>;

export interface StreamLimits {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  readonly replicas: number;
}

export const streamDefaults: StreamLimits = { maxAgeMs: 7 * 24 * 3_600_000, maxBytes: 1024 ** 3, replicas: 1 };

/** How long NATS recognises an event that is sent twice by its id. */
const duplicateWindowMs = 2 * 60_000;
const nanosecondsPerMs = 1_000_000;
const publishTimeoutMs = 5_000;
const streamNotFound = 10_059;
const streamNameInUse = 10_058;

/** What a relay needs; the fake of the unit tests loses tails at will. */
export interface EventsStream {
  /** Tells this stream from another of the same name: when it was created. */
  readonly incarnation: string;
  readonly closed: Promise<unknown>;
  /** Whether it is still the stream that it was when it was opened. */
  unchanged(): Promise<boolean>;
  /** Whether the event still lies where it was acknowledged. One that the stream's limits have removed counts as there. */
  holds(event: PublishedEvent): Promise<boolean>;
  /** @returns the sequence at which it lies. @throws when it was not acknowledged; it may lie there nonetheless */
  publish(event: WaitingEvent): Promise<number>;
  close(): Promise<void>;
}

/**
 * Connects and looks which stream it is.
 * @param limits of the stream that is made where there is none; left out, somebody else makes it
 */
export async function openEventsStream(connect: EventsConnector, limits?: StreamLimits): Promise<EventsStream> {
  const connection = await connect();
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: publishTimeoutMs });
    await ensureStream(manager, limits);
    const info = await manager.streams.info(eventsStream);
    return new NatsEventsStream(connection, manager, String(info.created), info.state.last_seq);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

class NatsEventsStream implements EventsStream {
  private readonly client: JetStreamClient;

  constructor(
    private readonly connection: NatsConnection,
    private readonly manager: JetStreamManager,
    readonly incarnation: string,
    private lastSequence: number,
  ) {
    this.client = jetstream(connection, { timeout: publishTimeoutMs });
  }

  get closed(): Promise<unknown> {
    return this.connection.closed();
  }

  async unchanged(): Promise<boolean> {
    return String((await this.manager.streams.info(eventsStream)).created) === this.incarnation;
  }

  async holds({ id, sequence }: PublishedEvent): Promise<boolean> {
    if (sequence > this.lastSequence) return false;
    const message = await this.manager.streams.getMessage(eventsStream, { seq: sequence });
    // Before the last sequence and yet not there: removed by the stream's limits, or by a person.
    return message === null || message.header.get('Nats-Msg-Id') === id;
  }

  async publish({ id, subject, body }: WaitingEvent): Promise<number> {
    const ack = await this.client.publish(subject, body, { msgID: id, expect: { streamName: eventsStream } });
    // On one connection sequences only grow: one that does not comes from a stream that was replaced meanwhile.
    if (!ack.duplicate && ack.seq <= this.lastSequence) {
      throw new Error(`The stream ${eventsStream} went back from sequence ${this.lastSequence} to ${ack.seq}.`);
    }
    this.lastSequence = Math.max(this.lastSequence, ack.seq);
    return ack.seq;
  }

  close(): Promise<void> {
    return this.connection.close();
  }
}

async function ensureStream(manager: JetStreamManager, limits: StreamLimits | undefined): Promise<void> {
  try {
    await manager.streams.info(eventsStream);
  } catch (error) {
    if (!isApiError(error, streamNotFound)) throw error;
    if (limits === undefined) throw new Error(`There is no stream of events yet; ${eventsStreamMaker} makes it.`);
    await createStream(manager, limits);
  }
}

async function createStream(manager: JetStreamManager, limits: StreamLimits): Promise<void> {
  const config: Partial<StreamConfig> & { name: string } = {
    name: eventsStream,
    description: 'Events of Alto: CloudEvents 1.0, in order per resource',
    subjects: ['alto.events.>'],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_age: limits.maxAgeMs * nanosecondsPerMs,
    max_bytes: limits.maxBytes,
    num_replicas: limits.replicas,
    duplicate_window: duplicateWindowMs * nanosecondsPerMs,
  };
  try {
    await manager.streams.add(config);
  } catch (error) {
    // Another service made it in this moment, perhaps with other limits: theirs stand.
    if (!isApiError(error, streamNameInUse)) throw error;
  }
}

function isApiError(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}
