import { Gateways } from '../gateways.fake';

let gateways: Gateways;

beforeAll(async () => {
  gateways = await Gateways.start(1);
});

afterAll(async () => gateways?.stop());

const paths = [
  '/v1/whoami',
  '/v1/nothing',
  '/v1/openapi.json',
  '/docs',
  '/docs/swagger-ui.css',
  '/',
  '/readyz',
  '/a%zz',
];

it.each(paths)('%s is answered with the headers that keep browsers from harm', async (path) => {
  const response = await fetch(`${gateways.all[0]?.url}${path}`, { redirect: 'manual' });
  await response.arrayBuffer();
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'content-security-policy': expect.stringMatching(/default-src 'none'.*frame-ancestors 'none'/),
  });
  expect(response.headers.has('strict-transport-security')).toBe(false);
});

it('asks for TLS from now on where the load balancer says that it came by it', async () => {
  const ask = async (headers: Record<string, string>) =>
    (await gateways.call('GET', '/v1/whoami', { headers })).headers.get('strict-transport-security');
  expect(await ask({ 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'https' })).toContain('max-age=31536000');
  expect(await ask({ 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http' })).toBeNull();
  expect(await ask({ 'x-forwarded-proto': 'https' })).toBeNull();
});

it('shows its metrics to its own side of the load balancer alone', async () => {
  expect((await gateways.call('GET', '/metrics')).body).toContain('alto_gateway_request_duration_seconds');
  const outside = await gateways.call('GET', '/metrics', { headers: { 'x-forwarded-for': '192.0.2.7' } });
  expect(outside.status).toBe(404);
  expect(outside.body.code).toBe('not_found');
});
