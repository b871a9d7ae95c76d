/** A NATS credentials file: the user's JWT, issued by an account, and the seed of the user's nkey. */
import { readFileSync } from 'node:fs';
import type { Authenticator } from '@nats-io/transport-node';
import { readUserJwt, signWithSeed } from './nkey';

export interface NatsCredentials {
  readonly jwt: string;
  readonly seed: string;
  /** Name in the JWT: the service that the credentials are for. */
  readonly name: string;
  /** Public key of the account that issued the JWT. */
  readonly issuer: string;
}

const block = /-{3,}[^\n]*-{3,}\r?\n(.+?)\r?\n-{3,}[^\n]*-{3,}/g;

/** @throws Error that names the file, when it cannot be read as credentials. */
export function readCredentials(file: string): NatsCredentials {
  try {
    const [jwt, seed] = Array.from(readFileSync(file, 'utf8').matchAll(block), (match) => (match[1] ?? '').trim());
    if (jwt === undefined || seed === undefined) throw new Error('it needs a JWT and a seed');
    const { name, iss: issuer } = readUserJwt(jwt);
    return { jwt, seed, name, issuer };
  } catch (error) {
    throw new Error(`${file} is not a NATS credentials file (ALTO_NATS_CREDS_FILE)`, { cause: error });
  }
}

/** Signs in with a credentials file, read again at each connect so that new credentials need no restart. */
export function credentialsAuthenticator(file: string): Authenticator {
  return (nonce) => {
    const { jwt, seed } = readCredentials(file);
    const sig = Buffer.from(signWithSeed(seed, nonce ?? ''), 'base64').toString('base64url');
    return { jwt, sig };
  };
}
