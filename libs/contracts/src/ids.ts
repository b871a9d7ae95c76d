/**
 * Identifiers: a prefix that says what it names, and 26 characters of Crockford base 32 that
 * sort by creation time (48 bits of milliseconds, then 80 random bits; the ULID layout).
 */
import { z } from 'zod';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

export const idPrefixes = {
  app: 'app',
  audit: 'aud',
  blob: 'blob',
  bundle: 'bnd',
  document: 'doc',
  event: 'evt',
  instance: 'ins',
  key: 'key',
  message: 'msg',
  node: 'node',
  project: 'prj',
  proxy: 'prx',
  revision: 'rev',
  rollout: 'rlt',
  route: 'rt',
  secret: 'sec',
  topic: 'top',
  volume: 'vol',
} as const;

export type IdKind = keyof typeof idPrefixes;

/** Makes an id such as `app_01k3…`. @param atMs creation time in Unix milliseconds. */
export function newId(kind: IdKind, atMs: number = Date.now()): string {
  return `${idPrefixes[kind]}_${encodeTime(atMs)}${encodeRandom()}`;
}

/** Not above any id made at that time or later, and above all that were made before. */
export function earliestId(kind: IdKind, atMs: number): string {
  return `${idPrefixes[kind]}_${encodeTime(Math.max(0, atMs))}${alphabet[0]?.repeat(16)}`;
}

/** Schema of an id of one kind. */
export function idOf(kind: IdKind) {
  return z
    .string()
    .regex(
      new RegExp(`^${idPrefixes[kind]}_[0-9a-hjkmnp-tv-z]{26}$`),
      `must be an id that starts with ${idPrefixes[kind]}_`,
    );
}

function encodeTime(atMs: number): string {
  let rest = Math.floor(atMs);
  let text = '';
  for (let place = 0; place < 10; place++) {
    text = alphabet[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

function encodeRandom(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => alphabet[byte % 32]).join('');
}
