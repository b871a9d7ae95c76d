/** Follows server-sent events (WHATWG HTML, section 9.2) with resumption. */
import { type CloudEvent, type Operation, AltoError, cloudEventSchema, gatewayOperations } from '@alto/contracts';
import { type RequestShape, shapeRequest } from './request';
import { type RetryPolicy, pause, pauseBefore } from './retry';

export interface FollowOptions {
  /** Name or id; without it the events of the whole cluster, for operators. */
  project?: string;
  /** Position of the last event seen; without it only events from now on. */
  after?: string;
  signal?: AbortSignal;
  /** Called each time the stream stands, with the first connection and with each one after a loss. */
  onConnected?: () => void;
  /** Called each time no stream can be made or the one that stood breaks off. It is tried again, unless this throws. */
  onLost?: (error: AltoError) => void;
  /** A connection silent for longer, heartbeats included, is given up and made again. */
  silenceMaxMs?: number;
}

export interface ReceivedEvent {
  /** Where to resume: `after` of a later follow. */
  position: string;
  event: CloudEvent;
}

type Send = (shape: RequestShape, init: RequestInit) => Promise<Response>;

const SEEN_MAX = 4_096;

export async function* followEvents(
  send: Send,
  policy: RetryPolicy,
  options: FollowOptions,
): AsyncGenerator<ReceivedEvent, void, undefined> {
  const stop = options.signal ?? new AbortController().signal;
  const seen = new Set<string>();
  let position = options.after;
  for (let failures = 0; !stop.aborted; failures++) {
    try {
      for await (const { position: at, event } of connection(send, { ...options, after: position }, stop)) {
        failures = 0;
        position = at;
        if (event === undefined || seen.has(event.id)) continue;
        remember(seen, event.id);
        yield { position, event };
      }
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof AltoError && !error.retryable) throw error;
      options.onLost?.(error instanceof AltoError ? error : brokenOff(error));
    }
    await pause(pauseBefore(policy, Math.min(failures, 10)), stop);
  }
}

function brokenOff(cause: unknown): AltoError {
  return new AltoError('service_unavailable', 'The event stream broke off.', { cause });
}

/** Where the stream stands, with or without an event there. */
interface Mark {
  position: string;
  event?: CloudEvent;
}

/** One connection, until it ends, fails or falls silent. */
async function* connection(
  send: Send,
  options: FollowOptions,
  stop: AbortSignal,
): AsyncGenerator<Mark, void, undefined> {
  const { follow, followAll } = gatewayOperations.events;
  const shape =
    options.project === undefined
      ? shapeRequest(followAll as Operation, {})
      : shapeRequest(follow as Operation, { project: options.project });
  const silence = new AbortController();
  const silent = () => silence.abort(new AltoError('service_unavailable', 'The event stream fell silent.'));
  const silenceMaxMs = options.silenceMaxMs ?? 45_000;
  const headers = {
    accept: 'text/event-stream',
    ...(options.after !== undefined && { 'last-event-id': options.after }),
  };
  let timer = setTimeout(silent, silenceMaxMs);
  try {
    const response = await send(shape, { headers, signal: AbortSignal.any([stop, silence.signal]) });
    options.onConnected?.();
    for await (const message of parseEventStream(response.body ?? new Blob([]).stream())) {
      clearTimeout(timer);
      timer = setTimeout(silent, silenceMaxMs);
      const event = message.data === undefined ? undefined : cloudEventSchema.safeParse(parseData(message.data)).data;
      if (message.id !== undefined) yield { position: message.id, event };
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

export interface StreamMessage {
  id?: string;
  event?: string;
  data?: string;
}

/** Messages of an event stream as they arrive; comments come as empty messages, a position alone without data. */
export async function* parseEventStream(bytes: ReadableStream<Uint8Array>): AsyncGenerator<StreamMessage> {
  let message: StreamMessage = {};
  for await (const line of linesOf(bytes)) {
    if (line === '') {
      if (message.data !== undefined || message.id !== undefined) yield message;
      message = {};
    } else if (line.startsWith(':')) yield {};
    else {
      const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      if (name === 'data') message.data = message.data === undefined ? value : `${message.data}\n${value}`;
      else if (name === 'id' || name === 'event') message[name] = value;
    }
  }
}

async function* linesOf(bytes: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = bytes.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parseData(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

function remember(seen: Set<string>, id: string): void {
  seen.add(id);
  const [oldest] = seen;
  if (seen.size > SEEN_MAX && oldest !== undefined) seen.delete(oldest);
}
