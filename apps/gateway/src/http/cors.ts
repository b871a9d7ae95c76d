/**
 * Which pages of other origins may speak to the API (the Fetch standard's CORS protocol): those that the operator names.
 * Keys travel in a header that no browser sends by itself, so credentials are never allowed, and `*` is harmless.
 */
import type { IncomingHttpHeaders } from 'node:http';

export type CorsOrigins = ReadonlySet<string> | '*';

const methods = 'GET, HEAD, PUT, POST, PATCH, DELETE';
const requestHeaders =
  'authorization, content-type, idempotency-key, if-match, if-none-match, if-range, last-event-id, range, traceparent';
const answerHeaders =
  'alto-request-id, content-range, etag, idempotency-replayed, ratelimit, ratelimit-policy, retry-after';
const preflightSeconds = '600';

/** @throws Error for what is not an origin, e.g. because it ends with a slash */
export function parseOrigins(text: string): CorsOrigins {
  const origins = text.split(',').map((one) => one.trim());
  if (origins.length === 1 && origins[0] === '*') return '*';
  const wrong = origins.find((origin) => origin !== '' && !isOrigin(origin));
  if (wrong !== undefined) throw new Error(`'${wrong}' is no origin: write it as https://host or http://host:port`);
  return new Set(origins.filter((origin) => origin !== ''));
}

export function takesPages(origins: CorsOrigins): boolean {
  return origins === '*' || origins.size > 0;
}

/** Headers for every answer; empty for a page that may not read it, which is all that keeps a browser from doing so. */
export function corsHeaders(origins: CorsOrigins, { origin }: IncomingHttpHeaders): Record<string, string> {
  if (origins === '*') return { 'access-control-allow-origin': '*', 'access-control-expose-headers': answerHeaders };
  if (!takesPages(origins)) return {};
  const isAllowed = origin !== undefined && origins.has(origin);
  return {
    vary: 'Origin',
    ...(isAllowed && { 'access-control-allow-origin': origin, 'access-control-expose-headers': answerHeaders }),
  };
}

/** A browser asks so before it sends what a form could not. */
export function isPreflight(method: string, headers: IncomingHttpHeaders): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && 'access-control-request-method' in headers;
}

export function preflightHeaders(origins: CorsOrigins, headers: IncomingHttpHeaders): Record<string, string> {
  const allowed = corsHeaders(origins, headers);
  if (allowed['access-control-allow-origin'] === undefined) return allowed;
  return {
    ...allowed,
    'access-control-allow-methods': methods,
    'access-control-allow-headers': requestHeaders,
    'access-control-max-age': preflightSeconds,
  };
}

function isOrigin(text: string): boolean {
  try {
    const { origin, protocol } = new URL(text);
    return origin === text && /^https?:$/.test(protocol) && !text.includes('*');
  } catch {
    return false;
  }
}
