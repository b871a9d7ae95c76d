import { Inject, Injectable } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import { AltoClient, CONFIG } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { claimedKeyId, hashesMatch, hashOf } from '../keys/api-key';
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
  ) {
    this.known = new FreshCache({
      load: (id) => keys.find(id),
      freshMs: config.ALTO_KEY_CACHE_MS,
      staleMs: config.ALTO_KEY_STALE_MS,
      patienceMs,
      entriesMax: keysMax,
    });
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
    if (!found || !hashesMatch(found.key.hash, hashOf(text))) {
      throw unauthenticated('The API key is not known.', 'Check that the key was copied whole: alto_<id>_<secret>.');
    }
    const { key, projectName } = found;
    if (key.revokedAt) throw unauthenticated('The API key was revoked.', 'Ask an admin of the project for a new key.');
    this.uses.note(key.id);
    const project = key.projectId === null ? null : { id: key.projectId, name: projectName ?? '' };
    return { keyId: key.id, role: key.role, project };
  }

  private forget(data: unknown): void {
    const { key } = (data ?? {}) as { key?: unknown };
    if (typeof key === 'string') this.known.invalidate(key);
  }
}

function unauthenticated(message: string, nextStep: string): AltoError {
  return new AltoError('unauthenticated', { message, nextStep });
}
