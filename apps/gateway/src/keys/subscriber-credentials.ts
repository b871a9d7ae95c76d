import { readFileSync } from 'node:fs';
import { Inject, Injectable } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import { CONFIG } from '@alto/platform';
import { createUser, encodeUser, fmtCreds, fromPublic, fromSeed } from '@nats-io/jwt';
import type { GatewayConfig } from '../config';

export interface IssuedCredentials {
  /** Content of a credentials file. */
  readonly text: string;
  /** Public nkey of the user. */
  readonly user: string;
}

/**
 * Signs in subscribers to NATS. The key that it signs with is good for nothing else: NATS takes the permissions of such
 * a user from the key's template in the account, and refuses one that brings permissions of its own.
 */
@Injectable()
export class SubscriberCredentials {
  constructor(@Inject(CONFIG) private readonly config: GatewayConfig) {}

  /** Where subscribers find NATS. */
  get servers(): string[] {
    const { ALTO_NATS_PUBLIC_URL: url = this.config.ALTO_NATS_URL } = this.config;
    return url.split(',').map((one) => one.trim());
  }

  /** @throws AltoError unprocessable where NATS is used without credentials, and so has none to give. */
  async issue(project: string, expiresAt: Date): Promise<IssuedCredentials> {
    const { ALTO_NATS_SUBSCRIBER_KEY_FILE: keyFile, ALTO_NATS_SUBSCRIBER_ACCOUNT: account } = this.config;
    if (keyFile === undefined || account === undefined) throw withoutCredentials();
    const signer = fromSeed(Buffer.from(readFileSync(keyFile, 'utf8').trim()));
    const user = createUser();
    const exp = Math.floor(expiresAt.getTime() / 1000);
    const jwt = await encodeUser(project, user, fromPublic(account), {}, { signer, scopedUser: true, exp });
    return { text: Buffer.from(fmtCreds(jwt, user)).toString(), user: user.getPublicKey() };
  }
}

function withoutCredentials(): AltoError {
  return new AltoError('unprocessable', {
    message: 'This gateway has no key with which it could sign credentials for NATS.',
    nextStep:
      'Set ALTO_NATS_SUBSCRIBER_KEY_FILE and ALTO_NATS_SUBSCRIBER_ACCOUNT, or follow events over HTTP: `alto events`.',
  });
}
