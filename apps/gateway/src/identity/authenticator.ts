import { Inject, Injectable } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import { AltoClient, Clock, CONFIG } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { claimedKeyId, hashOf } from '../keys/api-key';
import { judgeKey, type KeyVerdict } from '../keys/key.state';
import { keyChangedSubject, KeysService } from '../keys/keys.service';
import { FreshCache } from './fresh-cache';
import { KeyUses } from './key-uses';
import type { Principal } from './principal';

/** How long a request waits for PostgreSQL before what was last known of its key stands in. */
export const patienceMs = 500;
const keysMax = 10_000;

type KnownKey = NonNullable<Awaited<ReturnType<KeysService['find']>>>;

/**
 * Knows callers by their API key. A revoked key is refused here at once, by every other gateway as soon as the nudge
 * reaches it, and without the nudge once what is known of the key is no longer fresh (ALTO_KEY_CACHE_MS, at most 1 s).
 */
@Injectable()
export class Authenticator {
  private readonly known: FreshCache<KnownKey>;

  constructor(
    @Inject(CONFIG) config: GatewayConfig,
    keys: KeysService,
    client: AltoClient,
    private readonly uses: KeyUses,
    private readonly clock: Clock,
  ) {
    this.known = new FreshCache({
      load: (id) => keys.find(id),
      freshMs: config.ALTO_KEY_CACHE_MS,
      staleMs: config.ALTO_KEY_STALE_MS,
      patienceMs,
      entriesMax: keysMax,
    });
    keys.onChange((key) => this.known.invalidate(key));
    client.subscribe(keyChangedSubject, (data) => this.forget(data));
  }

  /** @param authorization the header. @throws AltoError unauthenticated; service_unavailable when PostgreSQL is away. */
  async authenticate(authorization: string | undefined): Promise<Principal> {
    const text = /^Bearer +([\w-]+)$/i.exec(authorization ?? '')?.[1];
    if (text === undefined) {
      throw unauthenticated('No API key was given.', 'Send the header "Authorization: Bearer <key>".');
    }
    const id = claimedKeyId(text);
    const found = id === undefined ? undefined : await this.known.get(id);
    const verdict = found ? judgeKey(found.key, hashOf(text), this.clock.now()) : 'unknown';
    if (!found || verdict !== 'valid') throw refusal(verdict);
    const { key, projectName, quotas } = found;
    this.uses.note(key.id);
    const project = key.projectId === null ? null : { id: key.projectId, name: projectName ?? '', quotas };
    return { keyId: key.id, keyName: key.name, role: key.role, scopes: key.scopes ?? undefined, project };
  }

  private forget(data: unknown): void {
    const { key } = (data ?? {}) as { key?: unknown };
    if (typeof key === 'string') this.known.invalidate(key);
  }
}

/** Said only to who has, or had, the secret: `unknown` is all that others learn. */
function refusal(verdict: KeyVerdict): AltoError {
  switch (verdict) {
    case 'revoked':
      return unauthenticated('The API key was revoked.', 'Ask an admin of the project for a new key.');
    case 'expired':
      return unauthenticated('The API key has expired.', 'Ask an admin of the project for a new key.');
    case 'replaced':
      return unauthenticated(
        'The API key has got a new secret, and the time of this one is over.',
        'Use the secret that `alto keys rotate` showed.',
      );
    default:
      return unauthenticated('The API key is not known.', 'Check that the key was copied whole: alto_<id>_<secret>.');
  }
}

function unauthenticated(message: string, nextStep: string): AltoError {
  return new AltoError('unauthenticated', { message, nextStep });
}
