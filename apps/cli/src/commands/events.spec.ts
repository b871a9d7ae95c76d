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
const frame = `id: 8.a\ndata: ${JSON.stringify(event)}\n\n`;

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

/** An API that answers each connection by the next step, and the last one again and again. */
function typed(steps: readonly Step[], ...words: string[]) {
  const printed = { out: '', err: '' };
  let asked = 0;
  const fetch = async (_: unknown, init: RequestInit = {}) =>
    await Promise.resolve(steps[Math.min(asked++, steps.length - 1)]!(init));
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
    const { ended, printed } = typed([refused]);
    await expect(ended).rejects.toThrow(/^Alto cannot be reached .*ECONNREFUSED/);
    expect(printed.out).toBe('');
  });

  it('fails when the stream breaks off and is not to be had again', async () => {
    const { ended, printed } = typed([saying(frame, true), refused]);
    await expect(ended).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(printed.out).toContain('compute.apps.created');
  });

  it('goes on through a short loss, and ends once nothing comes', async () => {
    const { ended, printed } = typed([refused, saying('', true), refused, saying(frame)]);
    await ended;
    expect(printed).toEqual({ out: expect.stringMatching(/compute\.apps\.created +app_1\n$/), err: '' });
  });
});

describe('alto events -f', () => {
  it('says once that nothing answers, and goes on when something does', async () => {
    const { ended, printed } = typed([refused, refused, refused, refused, refused, refused, saying(frame)], '-f');
    while (printed.out === '') await new Promise((resolve) => setTimeout(resolve, 10));
    process.emit('SIGINT');
    await ended;
    expect(printed.err).toMatch(/^Alto cannot be reached .*ECONNREFUSED 127\.0\.0\.1:4000\. Waiting for it …\n$/);
  });
});
