import { eventually, type TestService } from '@alto/testing';
import { Gateways } from '../gateways.fake';

/** Small enough for a slow machine to ask for more than there is. */
const [perSecond, windowSeconds] = [40, 2];
const quota = perSecond * windowSeconds;
const settings = {
  ALTO_RATE_LIMIT_WINDOW_SECONDS: String(windowSeconds),
  ALTO_RATE_LIMIT_KEY_PER_SECOND: String(perSecond),
  ALTO_RATE_LIMIT_PROJECT_PER_SECOND: '60',
};
let gateways: Gateways;

beforeAll(async () => {
  gateways = await Gateways.start(3, settings);
});

afterAll(async () => gateways?.stop());

/** Asks one gateway with one key, for so long and until so many were let through. @returns how many were */
async function askFor(gateway: TestService | undefined, key: string, forMs: number, least = 0): Promise<number> {
  const endsAtMs = performance.now() + forMs;
  let admitted = 0;
  while (performance.now() < endsAtMs || admitted < least) {
    const { status } = await gateways.call('GET', '/v1/whoami', { key, ...(gateway && { gateway }) });
    if (status === 200) admitted++;
    else expect(status).toBe(429);
  }
  return admitted;
}

/** Of what a fresh key may send, how much three gateways let through together. */
async function shareLetThrough(): Promise<number> {
  const { key } = await gateways.createKey('measured', 'viewer');
  const startedAtMs = performance.now();
  const askers = gateways.all.flatMap((gateway) => [gateway, gateway]);
  const counts = await Promise.all(askers.map((gateway) => askFor(gateway, key, 5_000)));
  const elapsedSeconds = (performance.now() - startedAtMs) / 1_000;
  const admitted = counts.reduce((sum, count) => sum + count, 0);
  return admitted / (quota + perSecond * elapsedSeconds);
}

it('three gateways together let through what one key may send, within 5 %', async () => {
  await gateways.createProject('measured');
  // A machine that was busy with something else for a moment has asked for less than it was allowed.
  await eventually(async () => {
    const share = await shareLetThrough();
    expect(share).toBeLessThan(1.05);
    expect(share).toBeGreaterThan(0.95);
  });
}, 60_000);

it('says what is limited, what is left and when to come again', async () => {
  await gateways.createProject('told');
  // Of another key where PostgreSQL, which a gateway asks beside the request, was not heard in time.
  const key = await eventually(
    async () => {
      const made = await gateways.createKey('told', 'viewer');
      const { headers } = await gateways.call('GET', '/v1/whoami', made);
      expect(headers.get('ratelimit-policy')).toBe('"address";q=4000;w=2, "key";q=80;w=2, "project";q=120;w=2');
      expect(headers.get('ratelimit')).toMatch(/^"address";r=\d+;t=\d+, "key";r=7\d;t=1, "project";r=11\d;t=1$/);
      return made.key;
    },
    { everyMs: 500 },
  );
  const refused = await eventually(async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => gateways.call('GET', '/v1/whoami', { key })));
    const found = answers.find(({ status }) => status === 429);
    expect(found).toBeDefined();
    return found;
  });
  expect(refused?.headers.get('content-type')).toBe('application/problem+json');
  expect(refused?.body).toMatchObject({ code: 'rate_limited', details: { limit: 'key', perSecond } });
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(refused?.headers.get('ratelimit')).toContain('"key";r=0;t=2');
});

it('limits the keys of a project together, and operators not with them', async () => {
  await gateways.createProject('crowded');
  const [one, other] = [await gateways.createKey('crowded', 'viewer'), await gateways.createKey('crowded', 'viewer')];
  const drained = await eventually(async () => {
    const answers = await Promise.all(
      Array.from({ length: 80 }, (_, index) =>
        gateways.call('GET', '/v1/whoami', { key: (index % 2 === 0 ? one : other).key }),
      ),
    );
    const found = answers.find(({ body }) => body.details?.limit === 'project');
    expect(found).toBeDefined();
    return found;
  });
  expect(drained?.status).toBe(429);
  const operator = await gateways.call('GET', '/v1/projects/crowded');
  expect([operator.status, operator.headers.get('ratelimit-policy')]).toEqual([
    200,
    expect.not.stringContaining('project'),
  ]);
});

it('goes on by itself, within its share, while PostgreSQL is away', async () => {
  await gateways.createProject('alone');
  const { key } = await gateways.createKey('alone', 'viewer');
  const known = async () => (await gateways.call('GET', '/v1/whoami', { key })).status;
  expect(await known()).toBe(200);
  await gateways.renameBuckets('away');
  try {
    const startedAtMs = performance.now();
    const admitted = await askFor(gateways.all[0], key, 2_000, 6);
    const elapsedSeconds = (performance.now() - startedAtMs) / 1_000;
    expect(admitted).toBeGreaterThan(5);
    expect(admitted).toBeLessThan((perSecond / 3) * elapsedSeconds + 10);
  } finally {
    await gateways.renameBuckets('back');
  }
});

describe('before a key is looked at', () => {
  const address = '198.51.100.7';
  const ask = (gateway: TestService, forwardedFor: string, path = '/v1/whoami') =>
    gateways.call('GET', path, { key: '', gateway, headers: { 'x-forwarded-for': forwardedFor } });
  /** At once, so that a slow machine asks for more than there is, too. @returns one that was refused */
  const refused = (gateway: TestService, forwardedFor: (index: number) => string, path?: string) =>
    eventually(async () => {
      const asked = Array.from({ length: 30 }, (_, index) => ask(gateway, forwardedFor(index), path));
      const found = (await Promise.all(asked)).find(({ status }) => status === 429);
      expect(found).toBeDefined();
      return found;
    });

  it('limits an address as the load balancer tells it, also for pages that need no key', async () => {
    const gateway = await gateways.add({ ...settings, ALTO_RATE_LIMIT_ADDRESS_PER_SECOND: '5' });
    expect((await ask(gateway, address)).status).toBe(401);
    for (const path of ['/v1/whoami', '/v1/openapi.json']) {
      const answer = await refused(gateway, () => address, path);
      expect(answer?.body).toMatchObject({ status: 429, code: 'rate_limited', details: { limit: 'address' } });
      expect((await ask(gateway, '198.51.100.8')).status).toBe(401);
    }
    for (const path of ['/healthz', '/readyz']) expect((await ask(gateway, address, path)).status).toBe(200);
  });

  it('believes nobody but the proxies that are trusted', async () => {
    const gateway = await gateways.add({
      ...settings,
      ALTO_RATE_LIMIT_ADDRESS_PER_SECOND: '5',
      ALTO_TRUSTED_PROXIES: '192.0.2.1',
    });
    const answer = await refused(gateway, (index) => `203.0.113.${index}`);
    expect(answer?.body).toMatchObject({ details: { limit: 'address' } });
  });
});
