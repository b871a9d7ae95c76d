import { type CloudEvent, newId, toProblem } from '@alto/contracts';
import { parseEventStream, type StreamMessage } from './events';
import { AltoClient, AltoError, type ReceivedEvent } from './index';

const eventOf = (id: string): CloudEvent => ({
  specversion: '1.0',
  id,
  source: 'alto/compute',
  type: 'compute.apps.created',
  subject: 'app_1',
  time: '2030-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  dataversion: 1,
  project: 'prj_1',
  resourceversion: 1,
  data: {},
});
const frame = (sequence: number, id: string) => `id: ${sequence}.${id}\ndata: ${JSON.stringify(eventOf(id))}\n\n`;
const streamOf = (...parts: string[]) =>
  new Response(new Blob(parts).stream(), { headers: { 'content-type': 'text/event-stream' } });

/** Answers each connection by the next of the given steps, and keeps what was asked. */
function clientOf(...steps: ((init: RequestInit) => Response)[]) {
  const after: (string | null)[] = [];
  const fakeFetch = async (_: unknown, init: RequestInit = {}): Promise<Response> => {
    after.push(new Headers(init.headers).get('last-event-id'));
    const step = steps.shift();
    if (!step) throw new TypeError('fetch failed');
    return step(init);
  };
  const options = { baseUrl: 'http://alto.test', apiKey: 'k', fetch: fakeFetch as typeof fetch, retry: { pauseMs: 1 } };
  return { client: new AltoClient(options), after };
}

async function take(events: AsyncIterable<ReceivedEvent>, count: number): Promise<ReceivedEvent[]> {
  const taken: ReceivedEvent[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

describe('parseEventStream', () => {
  const parse = async (...parts: string[]) => {
    const encoder = new TextEncoder();
    const bytes = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const part of parts) controller.enqueue(encoder.encode(part));
        controller.close();
      },
    });
    const messages: StreamMessage[] = [];
    for await (const message of parseEventStream(bytes)) messages.push(message);
    return messages;
  };

  it('reads messages however they are cut', async () => {
    const expected = [{}, { id: '1', data: 'a\nb' }, { event: 'x', data: 'ü' }, { id: '2' }];
    const text = ': hello\n\nid: 1\ndata: a\r\ndata: b\n\nevent:x\ndata:ü\n\nid: 2\n\nid: 3\ndata: unfinished';
    expect(await parse(text)).toEqual(expected);
    const bytes = Array.from(text);
    expect(await parse(...bytes)).toEqual(expected);
  });
});

describe('follow', () => {
  const [a, b, c] = [newId('event'), newId('event'), newId('event')];

  it('resumes where it was and gives nothing twice', async () => {
    const { client, after } = clientOf(
      () => streamOf('id: 7.t0\n\n', frame(8, a)),
      () => new Response('', { status: 503 }),
      () => streamOf(frame(8, a), frame(9, b), frame(10, c)),
    );
    const events = await take(client.follow({ project: 'p' }), 3);
    expect(events.map(({ event }) => event.id)).toEqual([a, b, c]);
    expect(events.at(-1)?.position).toBe(`10.${c}`);
    expect(after).toEqual([null, `8.${a}`, `8.${a}`]);
  });

  it('tells of each connection that is lost or cannot be made', async () => {
    const cut = () => new Response(new ReadableStream({ pull: (stream) => stream.error(new TypeError('terminated')) }));
    const { client } = clientOf(
      () => new Response('', { status: 503 }),
      cut,
      () => streamOf(frame(8, a)),
    );
    const told: string[] = [];
    const events = client.follow({
      project: 'p',
      onConnected: () => told.push('connected'),
      onLost: ({ code, message }) => told.push(`${code}: ${message.slice(0, 22)}`),
    });
    await take(events, 1);
    expect(told).toEqual([
      'service_unavailable: The answer was HTTP 50',
      'connected',
      'service_unavailable: The event stream broke',
      'connected',
    ]);
  });

  it('remembers where its stream began, when no event has come yet', async () => {
    const { client, after } = clientOf(
      () => streamOf('id: 7.t123\n\n: alive\n\n'),
      () => streamOf(frame(8, a)),
    );
    await take(client.follow({ project: 'p' }), 1);
    expect(after).toEqual([null, '7.t123']);
  });

  it('ends when the API refuses, and when it is told to', async () => {
    const refusal = new AltoError('unauthenticated', 'no');
    const { client } = clientOf(
      () =>
        new Response(JSON.stringify(toProblem(refusal)), {
          status: 401,
          headers: { 'content-type': 'application/problem+json' },
        }),
    );
    await expect(take(client.follow(), 1)).rejects.toMatchObject({ code: 'unauthenticated' });
    const stop = new AbortController();
    stop.abort();
    expect(await take(client.follow({ signal: stop.signal }), 1)).toEqual([]);
  });

  it('leaves a connection that has fallen silent', async () => {
    const silent = ({ signal }: RequestInit) => {
      const start = (stream: ReadableStreamDefaultController) =>
        signal?.addEventListener('abort', () => stream.error(signal.reason));
      return new Response(new ReadableStream({ start }));
    };
    const { client, after } = clientOf(silent, () => streamOf(frame(8, a)));
    const [event] = await take(client.follow({ project: 'p', silenceMaxMs: 20 }), 1);
    expect(event?.event.id).toBe(a);
    expect(after).toHaveLength(2);
  });
});
