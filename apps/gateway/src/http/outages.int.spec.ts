/** What stands still without breaking a connection is noticed by its silence, long before a request's time is over. */
import { operation } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { z } from 'zod';
import { type Answer, Gateways } from '../gateways.fake';

const show = operation({
  service: 'search',
  noun: 'lamps',
  verb: 'show',
  version: 1,
  summary: 'Show a lamp',
  http: { method: 'GET', path: '/v1/projects/{project}/lamps/{lamp}' },
  permission: 'indexes.read',
  callers: ['gateway'],
  input: z.strictObject({ project: z.string(), lamp: z.string() }),
  output: z.object({ lamp: z.string() }),
  errors: [],
  idempotent: true,
});

let gateways: Gateways;

beforeAll(async () => {
  gateways = await Gateways.start(1);
  await gateways.serve({ service: 'search', operations: [show], answer: (_, { lamp }) => ({ lamp }) });
  await eventually(async () => expect((await ask()).status).toBe(200));
});

afterAll(() => gateways?.stop());

const ask = (): Promise<Answer> => gateways.call('GET', '/v1/projects/default/lamps/a');

async function timed(call: () => Promise<Answer>): Promise<Answer & { elapsedMs: number }> {
  const startedAt = performance.now();
  const answer = await call();
  return { ...answer, elapsedMs: performance.now() - startedAt };
}

it('keeps whoever waits for NATS while it stands still for two seconds', async () => {
  // Again where this machine let it stand still for longer.
  const answer = await eventually(async () => {
    const pausedAt = performance.now();
    gateways.nats.pause();
    const asking = ask();
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    gateways.nats.resume();
    const stoodStillMs = performance.now() - pausedAt;
    const answered = await asking;
    return stoodStillMs < 2_500 && answered;
  });
  expect(answer).toMatchObject({ status: 200, body: { lamp: 'a' } });
});

it('answers 503 soon, then at once, while NATS is frozen, and goes on when it wakes up', async () => {
  gateways.nats.pause();
  try {
    const first = await timed(ask);
    expect(first).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
    expect(first.headers.get('content-type')).toBe('application/problem+json');
    // Three to four seconds on a machine that has time; a request's whole time is ten.
    expect(first.elapsedMs).toBeLessThan(9_000);
    await eventually(async () => {
      const next = await timed(ask);
      expect(next.status).toBe(503);
      expect(next.elapsedMs).toBeLessThan(1_500);
    });
    expect((await gateways.call('GET', '/v1/whoami')).status).toBe(200);
  } finally {
    gateways.nats.resume();
  }
  await eventually(async () => expect((await ask()).status).toBe(200));
});

it('answers 503 at once while NATS is down, and goes on when it is back', async () => {
  await gateways.nats.kill();
  try {
    await eventually(async () => {
      const next = await timed(ask);
      expect(next).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
      expect(next.elapsedMs).toBeLessThan(1_500);
    });
  } finally {
    await gateways.nats.start();
  }
  await eventually(async () => expect((await ask()).status).toBe(200));
});
