import { setTimeout } from 'node:timers/promises';
import { AltoClient } from '@alto/sdk';
import { Output } from '../output';
import { Session } from '../session';
import { eventsCommand } from './events';

type Step = (init: RequestInit) => Response;

const refused: Step = () => {
  throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:4000') });
};
const event = {
  specversion: '1.0',
  id: 'evt_01m80fg2trqnmqjj77s6hs0spj',
  source: 'alto/compute',
  type: 'compute.apps.created',
  subject: 'app_1',
  time: '2030-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  dataversion: 1,
  project: 'prj_1',
  resourceversion: 1,
  data: {},
};
const frameOf = (id: string, time = event.time) => `id: 8.a\ndata: ${JSON.stringify({ ...event, id, time })}\n\n`;
const frame = frameOf(event.id);
const idOf = (count: number) => `evt_${String(count).padStart(26, '0')}`;

/** A stream that says so much, and then stays open or breaks off. */
function saying(text: string, isCut = false): Step {
  return ({ signal }) => {
    const start = (stream: ReadableStreamDefaultController) => {
      if (text !== '') stream.enqueue(new TextEncoder().encode(text));
      signal?.addEventListener('abort', () => stream.error(signal.reason));
    };
    const pull = (stream: ReadableStreamDefaultController) => {
      if (isCut) stream.error(new TypeError('terminated'));
    };
    return new Response(new ReadableStream({ start, pull }, { highWaterMark: 0 }));
  };
}

/** A stream in which something happens all the time. */
const busy: Step = ({ signal }) => {
  let count = 0;
  const start = (stream: ReadableStreamDefaultController) => {
    const timer = setInterval(() => stream.enqueue(new TextEncoder().encode(frameOf(idOf(++count)))), 5);
    signal?.addEventListener('abort', () => {
      clearInterval(timer);
      stream.error(signal.reason);
    });
  };
  return new Response(new ReadableStream({ start }));
};

/** A stream that stands once somebody has waited for it. */
function late(step: Step, ms: number): (init: RequestInit) => Promise<Response> {
  return async (init) => {
    await setTimeout(ms);
    return step(init);
  };
}

interface Streams {
  /** Of what has happened, as long as the command is not told to follow. */
  past: readonly Step[];
  /** Of what happens from now on. */
  now?: readonly (Step | ReturnType<typeof late>)[];
}

/** An API that answers each connection by the next step, and the last one again and again. */
function typed({ past, now = [saying('')] }: Streams, ...words: string[]) {
  const printed = { out: '', err: '' };
  const asked = { past: 0, now: 0 };
  const fetch = async (_: unknown, init: RequestInit = {}) => {
    const isPast = new Headers(init.headers).has('last-event-id');
    const step = isPast ? past[Math.min(asked.past++, past.length - 1)] : now[Math.min(asked.now++, now.length - 1)];
    return await step!(init);
  };
  const client = new AltoClient({
    baseUrl: 'http://alto.test',
    apiKey: 'k',
    fetch: fetch as typeof globalThis.fetch,
    retry: { pauseMs: 1 },
  });
  const session = Object.assign(new Session({ HOME: '/nonexistent' }), { client: () => Promise.resolve(client) });
  const output = new Output(
    { write: (text) => (printed.out += text) },
    { write: (text) => (printed.err += text) },
    words.includes('--json'),
  );
  const command = eventsCommand(session, output).option('--json').exitOverride();
  return { ended: command.parseAsync(words, { from: 'user' }), printed };
}

describe('alto events', () => {
  it('fails where nothing answers, and does not wait for ever', async () => {
    const { ended, printed } = typed({ past: [refused], now: [refused] });
    await expect(ended).rejects.toThrow(/^Alto cannot be reached .*ECONNREFUSED/);
    expect(printed.out).toBe('');
  });

  it('fails when the stream breaks off and is not to be had again', async () => {
    const { ended, printed } = typed({ past: [saying(frame, true), refused] });
    await expect(ended).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(printed.out).toContain('compute.apps.created');
  });

  it('goes on through a short loss, and ends once nothing comes', async () => {
    const { ended, printed } = typed({ past: [refused, saying('', true), refused, saying(frame)] });
    await ended;
    expect(printed).toEqual({ out: expect.stringMatching(/compute\.apps\.created +app_1\n$/), err: '' });
  });

  it('goes on through a loss that comes late', async () => {
    const { now } = Date;
    const hourLater: Step = (init) => {
      Date.now = () => now() + 3_600_000;
      return saying(frame, true)(init);
    };
    const { ended, printed } = typed({ past: [hourLater, saying(frameOf(idOf(1)))] });
    await ended.finally(() => (Date.now = now));
    expect(printed.out.match(/created/g)).toHaveLength(2);
  });

  const idsIn = ({ out }: { out: string }) =>
    (JSON.parse(out) as { items: { event: { id: string } }[] }).items.map(({ event: { id } }) => id);

  it('leaves out what happened before the time that was asked for', async () => {
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000).toISOString();
    const past = [saying(frameOf(idOf(1), ago(40)) + frameOf(idOf(2), ago(5)))];
    const { ended, printed } = typed({ past }, '--since', '20s', '--json');
    await ended;
    expect(idsIn(printed)).toEqual([idOf(2)]);
  });

  it('ends where something happens all the time, with the first event since it began', async () => {
    const { ended, printed } = typed({ past: [busy], now: [saying(frameOf(idOf(20)))] }, '--json');
    await ended;
    expect(idsIn(printed)).toEqual(Array.from({ length: 20 }, (_, index) => idOf(index + 1)));
  });

  it('ends as well where it has printed that event before it is told of it', async () => {
    const { ended, printed } = typed({ past: [busy], now: [late(saying(frameOf(idOf(2))), 300)] }, '--json');
    await ended;
    expect(idsIn(printed)).toContain(idOf(2));
  });

  it('fails where it is not to be had which event is the last', async () => {
    const { ended } = typed({ past: [busy], now: [refused] });
    await expect(ended).rejects.toThrow(/^Alto cannot be reached .*ECONNREFUSED/);
  });
});

describe('alto events -f', () => {
  it('says once that nothing answers, and goes on when something does', async () => {
    const { ended, printed } = typed(
      { past: [], now: [refused, refused, refused, refused, refused, refused, saying(frame)] },
      '-f',
    );
    while (printed.out === '') await setTimeout(10);
    process.emit('SIGINT');
    await ended;
    expect(printed.err).toMatch(/^Alto cannot be reached .*ECONNREFUSED 127\.0\.0\.1:4000\. Waiting for it …\n$/);
  });
});
