import { loadBalancerOperations, type RequestOf } from '@alto/contracts';
import { contentOf } from './route-rules';

const { input } = loadBalancerOperations.routes.put;
type Request = RequestOf<typeof loadBalancerOperations.routes.put>;
const parse = (more: Partial<Request>) =>
  contentOf(input.parse({ project: 'p', route: 'main', host: 'www.example.com', ...more }));

it('stores no more than it needs for a host and an app', () => {
  expect(parse({ app: 'shop' })).toEqual({ host: 'www.example.com', path: '/', app: 'shop', details: null });
  expect(parse({ app: 'shop', path: '/api/' })).toMatchObject({ path: '/api' });
});

it('takes several apps, redirects and changes of headers', () => {
  expect(
    parse({
      apps: [
        { app: 'shop', weight: 9 },
        { app: 'blog', weight: 1 },
      ],
    }),
  ).toMatchObject({ app: 'shop' });
  expect(parse({ redirect: { to: 'https://example.org/', keepPath: true } }).details).toEqual({
    redirect: { to: 'https://example.org', status: 308, keepPath: true },
  });
  expect(parse({ app: 'shop', headers: { response: { set: { 'X-Frame-Options': 'DENY' } } } }).details).toEqual({
    headers: { request: { set: {}, remove: [] }, response: { set: { 'x-frame-options': 'DENY' }, remove: [] } },
  });
});

it.each<[string, Partial<Request>, string]>([
  ['nothing to lead to', {}, 'app'],
  ['two things to lead to', { app: 'shop', redirect: { to: '/' } }, 'app'],
  [
    'an app twice',
    {
      apps: [
        { app: 'a', weight: 1 },
        { app: 'a', weight: 2 },
      ],
    },
    'apps',
  ],
  ['no weight at all', { apps: [{ app: 'a', weight: 0 }] }, 'apps'],
  ['a query before a path', { redirect: { to: '/?a', keepPath: true } }, 'redirect.to'],
  ['hop-by-hop headers', { app: 'a', headers: { request: { remove: ['Connection'] } } }, 'headers.request'],
  ['who asks', { app: 'a', headers: { request: { set: { 'X-Forwarded-For': '1.1.1.1' } } } }, 'headers.request'],
  ['secrets', { app: 'a', headers: { request: { set: { authorization: 'Basic x' } } } }, 'headers.request'],
  ['cookies', { app: 'a', headers: { response: { set: { 'set-cookie': 'a=b' } } } }, 'headers.response'],
  [
    'a header both set and removed',
    { app: 'a', headers: { request: { set: { a: 'b' }, remove: ['A'] } } },
    'headers.request',
  ],
])('refuses %s', (_name, more, field) => {
  expect(() => parse(more)).toThrow(expect.objectContaining({ code: 'invalid_request', field }));
});

it.each<[string, Partial<Request>]>([
  ['a relative path', { app: 'a', path: 'api' }],
  ['an empty segment', { app: 'a', path: '/a//b' }],
  ['a query', { app: 'a', path: '/a?b' }],
  ['a command in a path', { app: 'a', path: '/a;del map' }],
  ['a scheme that runs', { redirect: { to: 'javascript:alert(1)' } }],
  ['a host in disguise', { redirect: { to: '//evil.example.com' } }],
  ['a line break in a redirect', { redirect: { to: '/a\r\nset-cookie: a' } }],
  ['a line break in a header', { app: 'a', headers: { request: { set: { a: 'b\r\nc: d' } } } }],
  ['a header with a space', { app: 'a', headers: { request: { set: { 'a b': 'c' } } } }],
])('the contract refuses %s', (_name, more) => {
  expect(input.safeParse({ project: 'p', route: 'main', host: 'www.example.com', ...more }).success).toBe(false);
});
