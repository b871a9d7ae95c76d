import { rateLimitFields } from './rate-limit-fields';

it('says of each limit its quota and what is left of it', () => {
  const policy = { perSecond: 10, windowSeconds: 60 };
  expect(
    rateLimitFields([
      { name: 'address', policy: { perSecond: 2_000, windowSeconds: 10 }, remaining: 20_000 },
      { name: 'key', policy, remaining: 450 },
      { name: 'project', policy, remaining: -1 },
    ]),
  ).toEqual({
    'ratelimit-policy': '"address";q=20000;w=10, "key";q=600;w=60, "project";q=600;w=60',
    ratelimit: '"address";r=20000;t=0, "key";r=450;t=15, "project";r=0;t=60',
  });
});
