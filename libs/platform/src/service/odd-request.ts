/**
 * What Node takes though another reader could understand it differently (RFC 9112, 3.2, 6.1 and 6.2): behind a proxy
 * that reads it in the other way it would be two requests, or one to somebody else. Pure.
 */
import type { IncomingMessage } from 'node:http';

type Head = Pick<IncomingMessage, 'httpVersion' | 'url' | 'rawHeaders' | 'headers'>;

const host = /^(\[[0-9a-f:.]+\]|[\w.~%-]+)(:\d{1,5})?$/i;

/** @returns what is wrong, in words; undefined where nothing is */
export function oddityOf({ httpVersion, url = '', rawHeaders, headers }: Head): string | undefined {
  if (httpVersion !== '1.0' && httpVersion !== '1.1') return 'The version of HTTP must be 1.0 or 1.1.';
  if (!/^(\/[^#]*|\*)$/.test(url)) return 'The target must be a path.';
  const encoding = headers['transfer-encoding'];
  if (encoding !== undefined && encoding !== 'chunked') return 'Transfer-Encoding: must be chunked';
  const length = headers['content-length'];
  if (length !== undefined && !/^(0|[1-9]\d{0,14})$/.test(length)) return 'Content-Length: must be a plain number';
  const hosts = rawHeaders.filter((_, index) => rawHeaders[index - 1]?.toLowerCase() === 'host' && index % 2 === 1);
  if (hosts.length > 1 || (headers.host !== undefined && !host.test(headers.host))) return 'Host: must be one host';
  return undefined;
}

/** Methods whose bodies nobody reads: one that never ends would hold its connection for as long. */
const bodiless: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

export function hasNeedlessBody({ method, headers }: Pick<IncomingMessage, 'method' | 'headers'>): boolean {
  const isEmpty = (headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined;
  return bodiless.has(method) && !isEmpty;
}
