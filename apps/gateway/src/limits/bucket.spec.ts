import { Bucket } from './bucket';
import { take } from './gcra.state';

const policy = { perSecond: 100, windowSeconds: 10 };

/** The shared bucket of the tests, and gateways that use it. */
class Shared {
  nowMs = 1_000_000;
  tatUs = 0;
  asked = 0;
  isAway = false;
  sharers = 1;

  gateway(): Bucket {
    return new Bucket({
      policy,
      now: () => this.nowMs,
      sharers: () => this.sharers,
      takeShared: async (wanted) => {
        this.asked++;
        if (this.isAway) throw new Error('away');
        const taken = take(policy, this.tatUs, this.nowMs * 1_000, wanted);
        this.tatUs = taken.tatUs;
        return taken;
      },
    });
  }
}

async function admitted(buckets: readonly Bucket[], requests: number): Promise<number> {
  let count = 0;
  for (let index = 0; index < requests; index++)
    if ((await buckets[index % buckets.length]?.admit())?.admitted) count++;
  return count;
}

it('never lets through more than the shared bucket has, whichever gateway is asked', async () => {
  const shared = new Shared();
  const gateways = [shared.gateway(), shared.gateway(), shared.gateway()];
  expect(await admitted(gateways, 3_000)).toBe(1_000);
  shared.nowMs += 2_000;
  expect(await admitted(gateways, 3_000)).toBe(200);
});

it('asks the shared bucket once for a lease of many requests, and hardly ever when it is empty', async () => {
  const shared = new Shared();
  const gateway = shared.gateway();
  expect(await admitted([gateway], 500)).toBe(500);
  expect(shared.asked).toBeLessThan(60);
  await admitted([gateway], 1_000);
  const before = shared.asked;
  expect(await admitted([gateway], 1_000)).toBe(0);
  expect(shared.asked).toBe(before);
});

it('serves all who come at once from one lease', async () => {
  const shared = new Shared();
  const gateway = shared.gateway();
  const verdicts = await Promise.all(Array.from({ length: 1_100 }, () => gateway.admit()));
  expect(verdicts.filter((verdict) => verdict.admitted)).toHaveLength(1_000);
  expect(shared.asked).toBeLessThan(10);
});

it('says when to come again, and keeps its word', async () => {
  const shared = new Shared();
  const gateway = shared.gateway();
  await admitted([gateway], 1_000);
  const refused = await gateway.admit();
  expect(refused).toMatchObject({ admitted: false, remaining: 0 });
  expect(refused.retryAfterMs).toBeGreaterThan(0);
  shared.nowMs += refused.retryAfterMs;
  expect((await gateway.admit()).admitted).toBe(true);
});

it('gives back nothing of a lease that is over', async () => {
  const shared = new Shared();
  const gateway = shared.gateway();
  await gateway.admit();
  shared.nowMs += 10_000;
  const before = shared.asked;
  await gateway.admit();
  expect(shared.asked).toBe(before + 1);
});

it('gives out its share while the shared bucket is away, and returns to it by itself', async () => {
  const shared = new Shared();
  shared.isAway = true;
  shared.sharers = 2;
  const gateway = shared.gateway();
  const atOnce = await admitted([gateway], 100);
  expect(atOnce).toBeGreaterThan(0);
  expect(atOnce).toBeLessThanOrEqual(10);
  let sum = 0;
  for (let second = 0; second < 10; second++) {
    shared.nowMs += 1_000;
    sum += await admitted([gateway], 200);
  }
  expect(sum).toBeGreaterThan(450);
  expect(sum).toBeLessThanOrEqual(500);
  shared.isAway = false;
  shared.nowMs += 2_000;
  await gateway.admit();
  const before = shared.asked;
  await admitted([gateway], 100);
  expect(shared.asked).toBeGreaterThan(before);
});

it('takes from the shared bucket afterwards what it gave out alone meanwhile', async () => {
  const shared = new Shared();
  shared.sharers = 2;
  const [slow, other] = [shared.gateway(), shared.gateway()];
  let sum = await admitted([slow, other], 3_000);
  for (let second = 0; second < 20; second++) {
    shared.nowMs += 1_000;
    // For one of them the shared bucket is away half of the time.
    shared.isAway = second % 4 < 2;
    sum += await admitted([slow], 300);
    shared.isAway = false;
    sum += await admitted([other], 300);
  }
  shared.nowMs += 4_000;
  sum += await admitted([slow, other], 3_000);
  expect(sum).toBeGreaterThan(3_300);
  expect(sum).toBeLessThanOrEqual(1_000 + 24 * 100 + 10);
});

it('is not in debt for longer than its part of the quota lasts', async () => {
  const shared = new Shared();
  shared.isAway = true;
  const gateway = shared.gateway();
  for (let minute = 0; minute < 60; minute++) {
    shared.nowMs += 60_000;
    await admitted([gateway], 1_000);
  }
  shared.isAway = false;
  shared.nowMs += 2_000;
  await admitted([gateway], 5);
  shared.nowMs += 10_000;
  expect(await admitted([gateway], 2_000)).toBeGreaterThan(900);
});
