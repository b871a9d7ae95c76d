/** Where an event stream reads from: an ordered consumer of JetStream, begun at a verified position. */
import { AltoError, eventsStream } from '@alto/contracts';
import {
  type ConsumerMessages,
  DeliverPolicy,
  jetstream,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type OrderedConsumerOptions,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { formatStart, type Position } from './position';

export interface EventSource {
  messages: ConsumerMessages;
  /** Where the stream begins, to resume from there before a first event has come. */
  start: string | undefined;
  close(): Promise<void>;
}

type Start = Pick<OrderedConsumerOptions, 'opt_start_seq'> | Pick<OrderedConsumerOptions, 'opt_start_time'>;

/** Fetched ahead for a client that reads; one that does not costs no more. */
const fetchedAheadMax = 20;
/** Should this gateway end without saying so, NATS forgets its consumers after this long. */
const inactiveMs = 60_000;
/** An event may be published this long after the time in its id; resuming by time begins that much earlier. */
const publishDelayMs = 60_000;
const streamNotFound = 10_059;

/** @throws AltoError service_unavailable when NATS cannot be asked. */
export async function openEventSource(
  connection: NatsConnection,
  subject: string,
  after: Position | undefined,
): Promise<EventSource> {
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false });
    const start = after === undefined ? await beginNow(manager) : { from: await resume(manager, subject, after) };
    const consumer = await jetstream(connection).consumers.get(eventsStream, {
      ...start.from,
      deliver_policy: 'opt_start_seq' in start.from ? DeliverPolicy.StartSequence : DeliverPolicy.StartTime,
      filter_subjects: subject,
      inactive_threshold: inactiveMs,
    });
    const messages = await consumer.consume({ max_messages: fetchedAheadMax });
    const close = async () => {
      await messages.close();
      await consumer.delete().catch(() => undefined);
    };
    return { messages, start: 'position' in start ? start.position : undefined, close };
  } catch (error) {
    throw unavailable(error);
  }
}

async function beginNow(manager: JetStreamManager): Promise<{ from: Start; position: string }> {
  const { state } = await manager.streams.info(eventsStream);
  const position = formatStart(state.last_seq, Date.parse(String(state.last_ts)) || 0);
  return { from: { opt_start_seq: state.last_seq + 1 }, position };
}

async function resume(manager: JetStreamManager, subject: string, after: Position): Promise<Start> {
  if (await isStillThere(manager, subject, after)) return { opt_start_seq: after.sequence + 1 };
  return { opt_start_time: new Date(Math.max(0, after.atMs - publishDelayMs)).toISOString() };
}

async function isStillThere(manager: JetStreamManager, subject: string, after: Position): Promise<boolean> {
  if (after.sequence === 0) return after.eventId === undefined;
  const message = await manager.streams.getMessage(eventsStream, { seq: after.sequence }).catch(() => null);
  if (message === null) return false;
  if (after.eventId === undefined) return Date.parse(message.timestamp) === after.atMs;
  return message.header.get('Nats-Msg-Id') === after.eventId && message.subject.startsWith(subject.slice(0, -1));
}

function unavailable(cause: unknown): AltoError {
  const message =
    cause instanceof JetStreamApiError && cause.code === streamNotFound
      ? 'There is no stream of events yet.'
      : 'The stream of events cannot be reached: NATS did not answer.';
  const facts = { message, nextStep: 'Try again shortly; `alto doctor` says what is wrong with NATS.' };
  return new AltoError('service_unavailable', { ...facts, details: { dependency: 'nats' } }, { cause });
}
