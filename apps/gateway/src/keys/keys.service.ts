import { Injectable } from '@nestjs/common';
import {
  type ApiKey,
  type EventType,
  type Role,
  AltoError,
  gatewayEvents,
  grantedTo,
  newId,
  projectEvents,
  roleCovers,
} from '@alto/contracts';
import { AltoClient, type CallIdentity, checkPrecondition, Clock, Database, Outbox } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { decodeCursor, pageFrom } from '../http/cursor';
import { mintApiKey, mintSecret } from './api-key';
import { KeyEntity } from './key.entity';
import { isOver, isUsable } from './key.state';
import { type KeyUse, KeysStore, type KeyWithProject } from './keys.store';
import { RevocationsReconciler } from './revocations.reconciler';
import { SubscriberCredentials } from './subscriber-credentials';

/** Tells every gateway to forget what it knows of a key. Lost nudges cost a delay within the cache's freshness only. */
export const keyChangedSubject = 'alto.nudge.gateway.keys';

export interface WantedKey {
  readonly name: string;
  readonly role: Role;
  readonly expiresAt?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
}

export interface WantedSubscriber {
  readonly name: string;
  readonly expiresAt?: string | undefined;
}

type ShownKey = ApiKey & { key: string };
type RevokedKey = ApiKey & { pending: string | null };
type ShownCredentials = ApiKey & { credentials: string; servers: string[]; subject: string };

const dayMs = 86_400_000;
const subscriberLifetimeMs = 90 * dayMs;
const subscriberLifetimeMaxMs = 366 * dayMs;
/** NATS has to remember those that were revoked, until they would have expired, in one message. */
const subscribersMax = { ofProject: 500, all: 8_000 } as const;
/** How long an answer waits for NATS to have heard what was revoked. */
const enforcedWithinMs = 2_000;
/** What a subscriber may do, in the words of API keys. */
const subscriber = { role: 'viewer', scopes: ['events.read'] } as const;

/** Keys belong to one project, or, where `project` is null, to the whole cluster: those are the operators'. */
@Injectable()
export class KeysService {
  private readonly listeners: ((key: string) => void)[] = [];

  constructor(
    private readonly database: Database,
    private readonly store: KeysStore,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
    private readonly client: AltoClient,
    private readonly subscribers: SubscriberCredentials,
    private readonly revocations: RevocationsReconciler,
  ) {}

  /** The answer is the only place where the key itself ever stands. */
  async create(project: string | null, wanted: WantedKey, caller: CallIdentity): Promise<ShownKey> {
    this.checkWanted(wanted);
    requireNoMore(caller, wanted.role, wanted.scopes);
    const minted = mintApiKey();
    const entity = this.newKey({
      id: minted.id,
      hash: minted.hash,
      projectId: project,
      name: wanted.name,
      role: wanted.role,
      expiresAt: wanted.expiresAt === undefined ? null : new Date(wanted.expiresAt),
      scopes: wanted.scopes === undefined ? null : [...new Set(wanted.scopes)].sort(),
    });
    await this.database.transaction(async (transaction) => {
      await this.store.insert(transaction, entity);
      await this.outbox.append(transaction, gatewayEvents.keyCreated, eventOf(entity));
    });
    return { ...toApiKey(entity, this.clock.now()), key: minted.text };
  }

  /** Credentials for NATS, which the answer alone holds. */
  async createNats(project: string, wanted: WantedSubscriber, caller: CallIdentity): Promise<ShownCredentials> {
    const now = this.clock.now();
    const expiresAt = new Date(wanted.expiresAt ?? now.getTime() + subscriberLifetimeMs);
    this.checkWanted({ ...subscriber, name: wanted.name, expiresAt: expiresAt.toISOString() });
    if (expiresAt.getTime() > now.getTime() + subscriberLifetimeMaxMs) throw tooLong();
    requireNoMore(caller, subscriber.role, subscriber.scopes);
    await this.requireRoomForSubscriber(project, now);
    const { text, user } = await this.subscribers.issue(project, expiresAt);
    const facts = { id: newId('key'), hash: '', projectId: project, name: wanted.name, role: subscriber.role };
    const entity = this.newKey({ ...facts, expiresAt, scopes: [...subscriber.scopes], kind: 'nats', natsUser: user });
    await this.database.transaction(async (transaction) => {
      await this.store.insert(transaction, entity);
      await this.outbox.append(transaction, gatewayEvents.keyCreated, eventOf(entity));
    });
    const { servers } = this.subscribers;
    return { ...toApiKey(entity, now), credentials: text, servers, subject: projectEvents(project) };
  }

  async list(
    project: string | null,
    { limit, cursor }: { limit: number; cursor?: string | undefined },
  ): Promise<{ items: ApiKey[]; nextCursor?: string }> {
    const list = `keys:${project ?? ''}`;
    const rows = await this.store.page(project, decodeCursor(list, cursor), limit + 1);
    const now = this.clock.now();
    return pageFrom(
      list,
      rows,
      limit,
      (row) => row.id,
      (row) => toApiKey(row, now),
    );
  }

  /** The secret that was in use until now works for `overlapMs` longer; one that was replaced before that ends at once. */
  async rotate(project: string | null, id: string, overlapMs: number, caller: CallIdentity): Promise<ShownKey> {
    const now = this.clock.now();
    const minted = mintSecret(id);
    const rotated = await this.database.transaction(async (transaction) => {
      const key = await this.lock(transaction, project, id);
      checkPrecondition(key);
      requireNoMore(caller, key.role, key.scopes ?? undefined);
      if (key.kind === 'nats') throw notRotated();
      if (!isUsable(key, now)) throw noLongerUsable(key);
      key.previousHash = overlapMs > 0 ? key.hash : null;
      key.previousValidUntil = overlapMs > 0 ? new Date(now.getTime() + overlapMs) : null;
      key.hash = minted.hash;
      await this.change(transaction, key, gatewayEvents.keyRotated);
      return key;
    });
    return { ...toApiKey(rotated, now), key: minted.text };
  }

  /**
   * Revoking a revoked key changes nothing. Of credentials for NATS the answer tells, in `pending`, why NATS may still
   * take them: as a rule it takes them no more.
   */
  async revoke(project: string | null, id: string): Promise<RevokedKey> {
    const now = this.clock.now();
    const enforcing: Promise<string | undefined>[] = [];
    const revoked = await this.database.transaction(async (transaction) => {
      if (project === null) await this.requireAnotherOperator(transaction, id, now);
      const key = await this.lock(transaction, project, id);
      checkPrecondition(key);
      if (key.kind === 'nats') this.database.afterCommit(transaction, () => enforcing.push(this.revocations.enforce()));
      if (key.revokedAt) return key;
      key.revokedAt = now;
      await this.change(transaction, key, gatewayEvents.keyRevoked);
      return key;
    });
    const isTaken = revoked.kind === 'nats' && !isOver(revoked.expiresAt, now);
    return { ...toApiKey(revoked, now), pending: isTaken ? await pendingReason(enforcing[0]) : null };
  }

  /** Called with the id of each key that is changed here, once the change is committed: needs no NATS. */
  onChange(listener: (key: string) => void): void {
    this.listeners.push(listener);
  }

  /** What authentication needs: the hashes and where the key belongs. */
  find(id: string): Promise<KeyWithProject | undefined> {
    return this.store.find(id);
  }

  recordUses(uses: readonly KeyUse[]): Promise<void> {
    return this.store.recordUses(uses);
  }

  /** Makes an operator's key known whose text is elsewhere. A key that is known already is left as it is. */
  async adoptOperator(id: string, hash: string): Promise<void> {
    const facts = { id, hash, projectId: null, name: 'first operator', role: 'operator' as const };
    const key = this.newKey({ ...facts, expiresAt: null, scopes: null });
    await this.database.transaction(async (transaction) => {
      if (!(await this.store.insertIfAbsent(transaction, key))) return;
      await this.outbox.append(transaction, gatewayEvents.keyCreated, eventOf(key));
    });
  }

  private checkWanted({ role, expiresAt, scopes = [] }: WantedKey): void {
    if (expiresAt !== undefined && Date.parse(expiresAt) <= this.clock.now().getTime()) {
      throw new AltoError('unprocessable', { message: 'expiresAt: is not in the future', field: 'expiresAt' });
    }
    const useless = scopes.find((scope) => !roleCovers(role, scope));
    if (useless === undefined) return;
    throw new AltoError('unprocessable', {
      message: `scopes: ${useless} is nothing that the role ${role} may do; scopes narrow a role and never widen it`,
      field: 'scopes',
      nextStep: 'Leave it out, or choose another role.',
    });
  }

  private async requireRoomForSubscriber(project: string, now: Date): Promise<void> {
    const { all, ofProject } = await this.store.countSubscribers(project, now);
    if (all < subscribersMax.all && ofProject < subscribersMax.ofProject) return;
    throw new AltoError('quota_exceeded', {
      message:
        `There may be ${subscribersMax.ofProject} credentials for NATS in a project, and ${subscribersMax.all} in all, ` +
        'whose time is not over. Revoked ones count until then, since NATS has to remember them.',
      nextStep:
        'Use one that is there, or wait until some have expired; give new ones a shorter life with `expiresAt`.',
    });
  }

  private async lock(transaction: EntityManager, project: string | null, id: string): Promise<KeyEntity> {
    const key = await this.store.lock(transaction, project, id);
    if (key) return key;
    const where = project === null ? 'the cluster' : 'this project';
    throw new AltoError('not_found', { message: `There is no such key of ${where}.`, field: 'key' });
  }

  /** All operators' keys stay locked until the end, so that two who revoke each other do not both succeed. */
  private async requireAnotherOperator(transaction: EntityManager, id: string, now: Date): Promise<void> {
    const operators = await this.store.lockOperators(transaction);
    const usable = operators.filter((key) => isUsable(key, now));
    if (usable.length !== 1 || usable[0]?.id !== id) return;
    throw new AltoError('conflict', {
      message: 'This is the last key that may operate the cluster; without it nobody could make another.',
      field: 'key',
      nextStep: 'Create another operator key first: `alto keys create --operator --name <text>`.',
    });
  }

  private async change(transaction: EntityManager, key: KeyEntity, event: EventType): Promise<void> {
    key.version++;
    await this.store.save(transaction, key);
    await this.outbox.append(transaction, event, eventOf(key));
    this.database.afterCommit(transaction, () => {
      for (const listener of this.listeners) listener(key.id);
      this.client.publish(keyChangedSubject, { key: key.id });
    });
  }

  private newKey(
    facts: Pick<KeyEntity, 'id' | 'hash' | 'projectId' | 'name' | 'role' | 'expiresAt' | 'scopes'> &
      Partial<Pick<KeyEntity, 'kind' | 'natsUser'>>,
  ): KeyEntity {
    const never = { lastUsedAt: null, revokedAt: null, previousHash: null, previousValidUntil: null };
    const kind = { kind: 'api', natsUser: null } as const;
    return Object.assign(new KeyEntity(), { ...kind, ...facts, ...never, version: 1, createdAt: this.clock.now() });
  }
}

/** Whoever holds a narrowed key would otherwise make itself a wide one. */
function requireNoMore(caller: CallIdentity, role: Role, scopes: readonly string[] | undefined): void {
  if (caller.kind !== 'key') return;
  const own = new Set(grantedTo(caller.role, caller.scopes));
  const missing = grantedTo(role, scopes).find((permission) => !own.has(permission));
  if (missing === undefined) return;
  throw new AltoError('forbidden', {
    message: `The key may not give what it does not have itself: ${missing}.`,
    field: 'scopes',
    nextStep: 'Narrow the scopes, or use a key that may do all of it.',
  });
}

/** @param enforcing undefined where the change is committed only after this answer, or not at all */
async function pendingReason(enforcing: Promise<string | undefined> | undefined): Promise<string | null> {
  if (enforcing === undefined) return 'NATS refuses them once this change is committed, which follows this answer.';
  let timer: NodeJS.Timeout | undefined;
  const tooSlow = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('NATS has not confirmed it yet.'), enforcedWithinMs);
  });
  const reason = await Promise.race([enforcing, tooSlow]);
  clearTimeout(timer);
  return reason === undefined
    ? null
    : `${reason} It is told as soon as it can be, and takes these credentials until then.`;
}

function tooLong(): AltoError {
  return new AltoError('unprocessable', {
    message: 'expiresAt: credentials for NATS last a year at most',
    field: 'expiresAt',
    nextStep: 'Name an earlier time, and create new credentials before it.',
  });
}

function notRotated(): AltoError {
  return new AltoError('conflict', {
    message: 'The key is credentials for NATS, which are not rotated.',
    field: 'key',
    nextStep: 'Create new ones with `alto keys create --nats`, then revoke these.',
  });
}

function noLongerUsable(key: KeyEntity): AltoError {
  return new AltoError('conflict', {
    message: `The key ${key.revokedAt ? 'was revoked' : 'has expired'} and gets no new secret.`,
    field: 'key',
    nextStep: 'Create a new key.',
  });
}

function eventOf(key: KeyEntity) {
  return {
    project: key.projectId,
    resource: key.id,
    resourceVersion: key.version,
    data: toApiKey(key, undefined),
  };
}

/** @param now leaves out what is over by then; without it all is told as it is kept */
function toApiKey(key: KeyEntity, now: Date | undefined): ApiKey {
  const previous = key.previousValidUntil;
  const isOverlapping = previous !== null && !key.revokedAt && (now === undefined || previous > now);
  return {
    id: key.id,
    name: key.name,
    kind: key.kind,
    role: key.role,
    project: key.projectId,
    version: key.version,
    createdAt: key.createdAt.toISOString(),
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
    expiresAt: key.expiresAt?.toISOString() ?? null,
    scopes: key.scopes,
    previousValidUntil: isOverlapping ? previous.toISOString() : null,
  };
}
