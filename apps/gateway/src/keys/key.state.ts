/** What an API key is worth at a moment: pure. */
import { hashesMatch } from './api-key';

export interface KeyFacts {
  readonly hash: string;
  readonly previousHash: string | null;
  readonly previousValidUntil: Date | null;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

/** `unknown`: the secret is not this key's, nor was it until lately. */
export type KeyVerdict = 'valid' | 'unknown' | 'replaced' | 'revoked' | 'expired';

/**
 * Only who has the secret learns why the key does not work. Both hashes are compared whatever the first comparison
 * says, so that the time taken tells nothing.
 * @param hash of the key that was presented
 */
export function judgeKey(key: KeyFacts, hash: string, now: Date): KeyVerdict {
  const isCurrent = hashesMatch(key.hash, hash);
  const isPrevious = hashesMatch(key.previousHash ?? '', hash);
  if (!isCurrent && !isPrevious) return 'unknown';
  if (key.revokedAt) return 'revoked';
  if (isOver(key.expiresAt, now)) return 'expired';
  if (!isCurrent && (key.previousValidUntil === null || isOver(key.previousValidUntil, now))) return 'replaced';
  return 'valid';
}

/** Works with its present secret: neither revoked nor expired. */
export function isUsable(key: Pick<KeyFacts, 'expiresAt' | 'revokedAt'>, now: Date): boolean {
  return !key.revokedAt && !isOver(key.expiresAt, now);
}

export function isOver(end: Date | null, now: Date): boolean {
  return end !== null && end.getTime() <= now.getTime();
}
