import { Injectable } from '@nestjs/common';
import { type ApiKey, type InputOf, AltoError, gatewayEvents, gatewayOperations } from '@alto/contracts';
import { AltoClient, Clock, Database, Outbox } from '@alto/platform';
import { decodeCursor, pageFrom } from '../http/cursor';
import { mintApiKey } from './api-key';
import { KeyEntity } from './key.entity';
import { KeysStore, type KeyWithProject } from './keys.store';

/** Tells every gateway to forget what it knows of a key. Lost nudges cost a delay within the cache's freshness only. */
export const keyChangedSubject = 'alto.nudge.gateway.keys';

@Injectable()
export class KeysService {
  constructor(
    private readonly database: Database,
    private readonly store: KeysStore,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
    private readonly client: AltoClient,
  ) {}

  /** The answer is the only place where the key itself ever stands. `input.project` is the id. */
  async create(input: InputOf<typeof gatewayOperations.keys.create>): Promise<ApiKey & { key: string }> {
    const minted = mintApiKey();
    const entity = this.newKey({
      id: minted.id,
      hash: minted.hash,
      projectId: input.project,
      name: input.name,
      role: input.role,
    });
    await this.database.transaction(async (transaction) => {
      await this.store.insert(transaction, entity);
      await this.outbox.append(transaction, gatewayEvents.keyCreated, eventOf(entity));
    });
    return { ...toApiKey(entity), key: minted.text };
  }

  async list(input: InputOf<typeof gatewayOperations.keys.list>): Promise<{ items: ApiKey[]; nextCursor?: string }> {
    const list = `keys:${input.project}`;
    const rows = await this.store.page(input.project, decodeCursor(list, input.cursor), input.limit + 1);
    return pageFrom(list, rows, input.limit, (row) => row.id, toApiKey);
  }

  /** Revoking a revoked key changes nothing. */
  async revoke(input: InputOf<typeof gatewayOperations.keys.revoke>): Promise<ApiKey> {
    const revoked = await this.database.transaction(async (transaction) => {
      const key = await this.store.lock(transaction, input.project, input.key);
      if (!key) {
        throw new AltoError('not_found', { message: 'There is no such key in this project.', field: 'key' });
      }
      if (key.revokedAt) return key;
      key.revokedAt = this.clock.now();
      key.version++;
      await this.store.save(transaction, key);
      await this.outbox.append(transaction, gatewayEvents.keyRevoked, eventOf(key));
      return key;
    });
    this.client.publish(keyChangedSubject, { key: revoked.id });
    return toApiKey(revoked);
  }

  /** What authentication needs: the hash and where the key belongs. */
  find(id: string): Promise<KeyWithProject | undefined> {
    return this.store.find(id);
  }

  recordUse(id: string, usedAt: Date): Promise<void> {
    return this.store.recordUse(id, usedAt);
  }

  /** Makes an operator's key known whose text is elsewhere. A key that is known already is left as it is. */
  async adoptOperator(id: string, hash: string): Promise<void> {
    const key = this.newKey({ id, hash, projectId: null, name: 'first operator', role: 'operator' });
    await this.database.transaction(async (transaction) => {
      if (!(await this.store.insertIfAbsent(transaction, key))) return;
      await this.outbox.append(transaction, gatewayEvents.keyCreated, eventOf(key));
    });
  }

  private newKey(facts: Pick<KeyEntity, 'id' | 'hash' | 'projectId' | 'name' | 'role'>): KeyEntity {
    const createdAt = this.clock.now();
    return Object.assign(new KeyEntity(), { ...facts, version: 1, createdAt, lastUsedAt: null, revokedAt: null });
  }
}

function eventOf(key: KeyEntity) {
  return {
    project: key.projectId,
    resource: key.id,
    resourceVersion: key.version,
    data: toApiKey(key),
  };
}

function toApiKey(key: KeyEntity): ApiKey {
  return {
    id: key.id,
    name: key.name,
    role: key.role,
    project: key.projectId,
    version: key.version,
    createdAt: key.createdAt.toISOString(),
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
  };
}
