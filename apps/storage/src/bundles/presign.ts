/**
 * Addresses that carry their own permission: whoever has one may fetch that blob until it expires.
 * The signature is HMAC-SHA-256 over the blob, the expiry and the key's id, in base64url.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface SigningKey {
  readonly id: string;
  readonly secret: Buffer;
}

export interface PresignedBlob {
  readonly blob: string;
  /** Unix milliseconds. */
  readonly expiresAtMs: number;
  readonly key: string;
  readonly signature: string;
}

/** Path and query of the address, to be put after the URL of an instance that has the blob. */
export function presign(key: SigningKey, blob: string, expiresAtMs: number): string {
  const query = new URLSearchParams({
    expires: String(expiresAtMs),
    key: key.id,
    signature: signatureOf(key, blob, expiresAtMs),
  });
  return `/v1/blobs/${blob}/content?${query.toString()}`;
}

/** Takes the same time whatever differs. */
export function isSigned({ blob, expiresAtMs, signature }: PresignedBlob, key: SigningKey): boolean {
  const expected = Buffer.from(signatureOf(key, blob, expiresAtMs));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function signatureOf(key: SigningKey, blob: string, expiresAtMs: number): string {
  const text = ['alto-blob-v1', blob, String(expiresAtMs), key.id].join('\n');
  return createHmac('sha256', key.secret).update(text).digest('base64url');
}
