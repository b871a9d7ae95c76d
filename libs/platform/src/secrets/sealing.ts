/**
 * Sealed text: AES-256-GCM (NIST SP 800-38D) under a data key of its own, which the master key seals in turn. One text:
 *
 *   alto1.<id of the master key>.<sealed data key>.<sealed value>       each sealed part: nonce, ciphertext, tag; base64url
 *
 * The place that the text belongs to is authenticated with both parts: sealed text that is moved to another place, cut
 * or changed does not open. A data key seals one value, so no nonce can meet another under the same key, and a master
 * key seals 32 random bytes at a time, far below the 2^32 messages that random nonces allow.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type MasterKeys, masterKeyBytes } from './master-keys';

const form = 'alto1';
const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

/** Bytes of a value that can be sealed: far above every bound of those who seal. */
export const sealedValueBytesMax = 1_048_576;
const sealedTextMax = 2 * sealedValueBytesMax;

/** Why sealed text did not open, without a word of it. */
export class SealingError extends Error {
  override readonly name = 'SealingError';

  constructor(
    readonly reason: 'unreadable' | 'unknown_key' | 'refused' | 'too_large',
    message: string,
  ) {
    super(message);
  }
}

/**
 * @param place words that say where the sealed text belongs; the same ones open it, in the same order
 * @throws SealingError too_large
 */
export function seal(keys: MasterKeys, value: string, place: readonly string[]): string {
  const content = Buffer.from(value, 'utf8');
  if (content.length > sealedValueBytesMax) {
    throw new SealingError(
      'too_large',
      `A value of ${content.length} bytes cannot be sealed; ${sealedValueBytesMax} are the most.`,
    );
  }
  const dataKey = randomBytes(masterKeyBytes);
  const sealedKey = encrypt(keyOf(keys, keys.newest), dataKey, bound('key', keys.newest, place));
  const sealedContent = encrypt(dataKey, content, bound('value', keys.newest, place));
  dataKey.fill(0);
  return [form, keys.newest, sealedKey.toString('base64url'), sealedContent.toString('base64url')].join('.');
}

/** @throws SealingError for another place, a key that is not known, or text that was changed */
export function open(keys: MasterKeys, sealed: string, place: readonly string[]): string {
  const { keyId, sealedKey, sealedContent } = parse(sealed);
  const dataKey = decrypt(keyOf(keys, keyId), sealedKey, bound('key', keyId, place));
  const content = decrypt(dataKey, sealedContent, bound('value', keyId, place));
  dataKey.fill(0);
  return content.toString('utf8');
}

/** Id of the master key that opens it. @throws SealingError unreadable */
export function keyIdOf(sealed: string): string {
  return parse(sealed).keyId;
}

interface Envelope {
  readonly keyId: string;
  readonly sealedKey: Buffer;
  readonly sealedContent: Buffer;
}

function parse(sealed: string): Envelope {
  const [version, keyId, key, content, ...more] = sealed.length > sealedTextMax ? [] : sealed.split('.');
  const isWhole =
    version === form && keyId !== undefined && key !== undefined && content !== undefined && more.length === 0;
  if (!isWhole) throw new SealingError('unreadable', 'The sealed text is not one that Alto has made.');
  return { keyId, sealedKey: Buffer.from(key, 'base64url'), sealedContent: Buffer.from(content, 'base64url') };
}

function keyOf(keys: MasterKeys, id: string): Uint8Array {
  const key = keys.find(id);
  if (key !== undefined) return key;
  throw new SealingError(
    'unknown_key',
    `Master key ${id.slice(0, 16)} is not among those that this process was given.`,
  );
}

/** JSON keeps the words apart, so that no two places read the same. */
function bound(part: 'key' | 'value', keyId: string, place: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify([form, part, keyId, ...place]), 'utf8');
}

function encrypt(key: Uint8Array, content: Uint8Array, associated: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(associated);
  return Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, sealed: Buffer, associated: Uint8Array): Buffer {
  if (sealed.length < nonceBytes + tagBytes) throw refused();
  const decipher = createDecipheriv(algorithm, key, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, sealed.length - tagBytes)), decipher.final()]);
  } catch {
    throw refused();
  }
}

function refused(): SealingError {
  return new SealingError('refused', 'The sealed text was changed, or belongs to another place.');
}
