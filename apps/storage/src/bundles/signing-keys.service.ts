import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Clock } from '@alto/platform';
import type { SigningKey } from './presign';
import type { SigningKeyEntity } from './signing-key.entity';
import { SigningKeysStore } from './signing-keys.store';

const rotateAfterMs = 24 * 3_600_000;
/** Longer than any address signed with a key can be valid after the key was replaced. */
const keepForMs = 2 * rotateAfterMs;

/** The keys that addresses are signed with: shared by all instances, replaced daily. */
@Injectable()
export class SigningKeysService {
  /** So that fetching goes on while the database is away. Unknown ids are not kept. */
  private readonly known = new LRUCache<string, SigningKey>({ max: 16 });
  private newest: SigningKeyEntity | undefined;

  constructor(
    private readonly store: SigningKeysStore,
    private readonly clock: Clock,
  ) {}

  /** The key to sign with now. */
  async current(): Promise<SigningKey> {
    if (!this.isFresh(this.newest)) this.newest = await this.store.newest();
    if (!this.isFresh(this.newest)) this.newest = await this.make();
    this.known.set(this.newest.id, this.newest);
    return this.newest;
  }

  async find(id: string): Promise<SigningKey | undefined> {
    const known = this.known.get(id);
    if (known !== undefined) return known;
    const stored = await this.store.find(id);
    if (stored === null) return undefined;
    this.known.set(id, stored);
    return stored;
  }

  private isFresh(key: SigningKeyEntity | undefined): key is SigningKeyEntity {
    return key !== undefined && this.clock.nowMs() - key.createdAt.getTime() < rotateAfterMs;
  }

  private async make(): Promise<SigningKeyEntity> {
    const createdAt = this.clock.now();
    const key = { id: randomUUID(), secret: randomBytes(32), createdAt };
    await this.store.add(key);
    await this.store.removeOlderThan(new Date(createdAt.getTime() - keepForMs));
    return key;
  }
}
