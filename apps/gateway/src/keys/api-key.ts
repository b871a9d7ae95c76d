/**
 * API keys as text: `alto_<id>_<secret>`. The id finds the row; the secret is 256 random bits, so one SHA-256 of the
 * whole key is enough to keep: there is nothing to guess that a slow hash would protect.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { newId } from '@alto/contracts';

const KEY = /^alto_([0-9a-z]{26})_([0-9a-f]{64})$/;
const HASH_LINE = /^([0-9a-z]{26}) ([0-9a-f]{64})$/;

export interface MintedKey {
  /** `key_…`, the resource's id. */
  id: string;
  /** The whole key; shown once and never kept. */
  text: string;
  hash: string;
}

export function mintApiKey(): MintedKey {
  return mintSecret(newId('key'));
}

/** A new secret for a key that keeps its id. */
export function mintSecret(id: string): MintedKey {
  const text = `alto_${id.slice('key_'.length)}_${randomBytes(32).toString('hex')}`;
  return { id, text, hash: hashOf(text) };
}

/** The id a key claims, or undefined for what is not shaped like a key. Proves nothing yet. */
export function claimedKeyId(text: string): string | undefined {
  const id = KEY.exec(text)?.[1];
  return id === undefined ? undefined : `key_${id}`;
}

/** Lower-case hex SHA-256 of the whole key. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

/** Takes the same time wherever the two hashes differ. */
export function hashesMatch(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left, 'hex'), Buffer.from(right, 'hex')];
  return a.length === 32 && a.length === b.length && timingSafeEqual(a, b);
}

/** Reads `<id> <sha256>`, the one line of the bootstrap file. Undefined when it is anything else. */
export function parseHashLine(line: string): { id: string; hash: string } | undefined {
  const [, id, hash] = HASH_LINE.exec(line.trim()) ?? [];
  return id && hash ? { id: `key_${id}`, hash } : undefined;
}
