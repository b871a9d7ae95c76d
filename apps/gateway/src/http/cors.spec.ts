import { corsHeaders, isPreflight, parseOrigins, preflightHeaders } from './cors';

const console = 'https://console.example';
const named = parseOrigins(`${console}, http://localhost:5173`);

it.each(['https://console.example/', 'console.example', 'https://*.example', 'null', 'ftp://a', '*, https://a'])(
  'takes no origins such as %s',
  (text) => {
    expect(() => parseOrigins(text)).toThrow('is no origin');
  },
);

it('lets nobody in unless told to', () => {
  expect(corsHeaders(parseOrigins(''), { origin: console })).toEqual({});
});

it('lets those in that are named', () => {
  expect(corsHeaders(named, { origin: console })).toMatchObject({
    'access-control-allow-origin': console,
    vary: 'Origin',
  });
  expect(corsHeaders(named, { origin: 'https://other.example' })).toEqual({ vary: 'Origin' });
  expect(corsHeaders(named, {})).toEqual({ vary: 'Origin' });
});

it('never allows credentials, so that any origin may be let in', () => {
  const any = preflightHeaders(parseOrigins('*'), { origin: console });
  expect(any['access-control-allow-origin']).toBe('*');
  for (const headers of [any, preflightHeaders(named, { origin: console })])
    expect(headers).not.toHaveProperty('access-control-allow-credentials');
});

it('tells what a page may send', () => {
  const asked = { origin: console, 'access-control-request-method': 'PUT' };
  expect(isPreflight('OPTIONS', asked)).toBe(true);
  expect(isPreflight('OPTIONS', { origin: console })).toBe(false);
  expect(isPreflight('PUT', asked)).toBe(false);
  const allowed = preflightHeaders(named, asked);
  expect(allowed['access-control-allow-methods']).toContain('DELETE');
  expect(allowed['access-control-allow-headers']).toContain('idempotency-key');
  expect(preflightHeaders(named, { ...asked, origin: 'https://other.example' })).toEqual({ vary: 'Origin' });
});
