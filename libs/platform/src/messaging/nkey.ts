/**
 * NATS nkeys by Node's own Ed25519: the library's is written in JavaScript and takes a thousand times as long, too
 * much for what is announced and checked every few seconds.
 * https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const keyBytes = 32;
const checksumBytes = 2;
/** DER head of a PKCS 8 private key of Ed25519 (RFC 8410); the seed follows. */
const privateKeyHead = Buffer.from('302e020100300506032b657004220420', 'hex');
/** DER head of an SPKI public key of Ed25519; the key follows. */
const publicKeyHead = Buffer.from('302a300506032b6570032100', 'hex');

/** @param seed e.g. `SUAM…` */
export function signWithSeed(seed: string, text: string): string {
  return sign(null, Buffer.from(text), privateKeyOf(seed)).toString('base64');
}

/** @param publicKey e.g. `UABC…` or `ABCD…`; a malformed one has signed nothing. @param signature base64 or base64url */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  const bytes = Buffer.from(signature, 'base64');
  const key = publicKeyOf(publicKey);
  return key !== undefined && bytes.length === 64 && verify(null, Buffer.from(text), key, bytes);
}

/** Two bytes say what the seed is for; then the seed and a checksum. */
function privateKeyOf(seed: string): KeyObject {
  const bytes = decodeBase32(seed.trim());
  if (bytes?.length !== 2 + keyBytes + checksumBytes) throw new Error('not the seed of an nkey');
  return createPrivateKey({
    key: Buffer.concat([privateKeyHead, bytes.subarray(2, 2 + keyBytes)]),
    format: 'der',
    type: 'pkcs8',
  });
}

/** One byte says what the key is for; then the key and a checksum. */
function publicKeyOf(text: string): KeyObject | undefined {
  const bytes = decodeBase32(text);
  if (bytes?.length !== 1 + keyBytes + checksumBytes) return undefined;
  return createPublicKey({
    key: Buffer.concat([publicKeyHead, bytes.subarray(1, 1 + keyBytes)]),
    format: 'der',
    type: 'spki',
  });
}

/** RFC 4648 without padding. */
function decodeBase32(text: string): Buffer | undefined {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const character of text) {
    const value = alphabet.indexOf(character);
    if (value === -1) return undefined;
    held = (held << 5) | value;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
    held &= (1 << bits) - 1;
  }
  return Buffer.from(bytes);
}

export interface UserClaims {
  readonly name: string;
  /** Public nkey of the user. */
  readonly sub: string;
  /** Public nkey that signed the JWT. */
  readonly iss: string;
  /** Unix seconds. */
  readonly exp?: number;
}

/** Claims of a NATS user's JWT whose signature by its issuer is right. @throws Error */
export function readUserJwt(jwt: string): UserClaims {
  const [header = '', payload = '', signature = ''] = jwt.split('.');
  const { alg } = decodePart(header);
  const { name, sub, iss, exp } = decodePart(payload);
  if (alg !== 'ed25519-nkey') throw new Error('the JWT is not one of NATS');
  if (typeof name !== 'string' || typeof sub !== 'string' || typeof iss !== 'string')
    throw new Error('the JWT lacks a claim');
  if (!isSignedBy(iss, `${header}.${payload}`, signature)) throw new Error('the JWT has a wrong signature');
  return { name, sub, iss, ...(typeof exp === 'number' && exp > 0 && { exp }) };
}

function decodePart(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
}
