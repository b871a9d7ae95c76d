import { hasNeedlessBody, oddityOf } from './odd-request';

const head = (more: object = {}, raw: string[] = ['Host', 'a.test']) => ({
  httpVersion: '1.1',
  url: '/v1/apps?a=b',
  rawHeaders: raw,
  headers: { host: 'a.test' },
  ...more,
});

it.each([
  head(),
  head({ httpVersion: '1.0', headers: {} }, []),
  head({ url: '*' }),
  head({ headers: { 'transfer-encoding': 'chunked' } }),
  head({ headers: { 'content-length': '0' } }),
  head({ headers: { 'content-length': '900000' } }),
  head({}, ['X-Host', 'a', 'X', 'host', 'Host', 'a.test']),
  ...['localhost', 'a.test:4000', '127.0.0.1:4000', '[::1]:4000', 'node_agent', 'xn--bcher-kva.test'].map((host) =>
    head({ headers: { host } }),
  ),
])('takes %j', (request) => {
  expect(oddityOf(request)).toBeUndefined();
});

const refused: readonly (readonly [what: string, request: ReturnType<typeof head>])[] = [
  ['HTTP', head({ httpVersion: '0.9' })],
  ['target', head({ url: 'http://b.test/v1/apps' })],
  ['target', head({ url: '/v1/apps#a' })],
  ['target', head({ url: '' })],
  ['Transfer-Encoding', head({ headers: { 'transfer-encoding': 'identity, chunked' } })],
  ['Transfer-Encoding', head({ headers: { 'transfer-encoding': 'Chunked' } })],
  ['Content-Length', head({ headers: { 'content-length': '003' } })],
  ['Content-Length', head({ headers: { 'content-length': '1'.repeat(16) } })],
  ['Host', head({}, ['Host', 'a.test', 'HOST', 'b.test'])],
  ...['', 'a.test, b.test', 'a@b', 'a/b', 'a b', 'a:b'].map((host) => ['Host', head({ headers: { host } })] as const),
];
it.each(refused)('refuses it for its %s: %j', (what, request) => {
  expect(oddityOf(request)).toContain(what);
});

it('knows a body that nobody will read', () => {
  expect(hasNeedlessBody({ method: 'GET', headers: { 'content-length': '3' } })).toBe(true);
  expect(hasNeedlessBody({ method: 'DELETE', headers: { 'transfer-encoding': 'chunked' } })).toBe(true);
  expect(hasNeedlessBody({ method: 'GET', headers: { 'content-length': '0' } })).toBe(false);
  expect(hasNeedlessBody({ method: 'GET', headers: {} })).toBe(false);
  expect(hasNeedlessBody({ method: 'POST', headers: { 'content-length': '3' } })).toBe(false);
});
