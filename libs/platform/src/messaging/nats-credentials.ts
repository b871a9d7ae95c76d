/** A NATS credentials file: the user's JWT, issued by an account, and the seed of the user's nkey. */
import { readFileSync } from 'node:fs';
import { decode, fromSeed, type KeyPair } from '@nats-io/jwt';

export interface NatsCredentials {
  readonly jwt: string;
  readonly key: KeyPair;
  /** Name in the JWT: the service that the credentials are for. */
  readonly name: string;
  /** Public key that issued the JWT. */
  readonly issuer: string;
}

const block = /-{3,}[^\n]*-{3,}\r?\n(.+?)\r?\n-{3,}[^\n]*-{3,}/g;

/** @throws Error that names the file, when it cannot be read as credentials. */
export function readCredentials(file: string): NatsCredentials {
  try {
    const [jwt, seed] = Array.from(readFileSync(file, 'utf8').matchAll(block), (match) => (match[1] ?? '').trim());
    if (jwt === undefined || seed === undefined) throw new Error('it needs a JWT and a seed');
    const claims = decode(jwt);
    return { jwt, key: fromSeed(new TextEncoder().encode(seed)), name: claims.name, issuer: claims.iss };
  } catch (error) {
    throw new Error(`${file} is not a NATS credentials file (ALTO_NATS_CREDS_FILE)`, { cause: error });
  }
}
