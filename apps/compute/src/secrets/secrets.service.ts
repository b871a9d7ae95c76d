/**
 * Secrets of projects. A value is sealed before anything is written, and leaves this service sealed: none is in an
 * answer, an event, a log or the database. Each new value is a new version; revisions of apps name the versions that
 * they were made with, and those are kept while such a revision is.
 */
import { Injectable } from '@nestjs/common';
import {
  AltoError,
  type InputOf,
  newId,
  type OutputOf,
  type Secret,
  secretEvents,
  type secretOperations,
} from '@alto/contracts';
import {
  checkPrecondition,
  Clock,
  Database,
  openSecret,
  Outbox,
  sealSecret,
  SealingError,
  type SecretPlace,
} from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { AppsService } from '../apps/apps.service';
import { decodeCursor, pageOfRows } from '../cursors';
import { listed } from '../placement/words';
import { QuotasService } from '../quotas/quotas.service';
import { SecretKeys } from './secret-keys';
import type { SecretEntity } from './secret.entity';
import { SecretsStore } from './secrets.store';

const secretsPerProjectMax = 1_000;
/** Apps that an error names. */
const namedAppsMax = 10;

interface Address {
  readonly project: string;
  readonly secret: string;
}

@Injectable()
export class SecretsService {
  constructor(
    private readonly database: Database,
    private readonly store: SecretsStore,
    private readonly apps: AppsService,
    private readonly keys: SecretKeys,
    private readonly quotas: QuotasService,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
  ) {}

  /**
   * Sets the secret; the value that it has already changes nothing. Apps that use it get a new revision in the same
   * transaction. An app's own change locks the app first and its secrets then: where the two meet the wrong way round,
   * PostgreSQL undoes one of them and it runs again.
   */
  put({ project, secret: name, value }: InputOf<typeof secretOperations.put>): Promise<Secret> {
    return this.database.transaction(async (transaction) => {
      const keys = await this.keys.sealing(transaction);
      const known = await this.lockOrBegin(transaction, project, name);
      checkPrecondition(known.deleted ? null : known);
      if (await this.hasValue(transaction, known, value)) return secretOf(known);
      if (known.deleted) await this.requireRoom(transaction, project);
      const at = this.clock.now();
      const changed: SecretEntity = {
        ...known,
        version: known.version + 1,
        deleted: false,
        createdAt: known.deleted ? at : known.createdAt,
        updatedAt: at,
      };
      const { id, version } = changed;
      const sealed = sealSecret(keys, value, placeOf(changed));
      await this.store.addValue(transaction, { secret: id, version, sealed, createdAt: at });
      await this.store.save(transaction, changed);
      await this.announce(transaction, secretEvents.secretUpdated, changed, version);
      await this.apps.touchRevisions(transaction, { project, secret: name, version });
      await this.forgetUnused(transaction, changed);
      return secretOf(changed);
    });
  }

  /** @throws AltoError not_found */
  async get({ project, secret: name }: Address): Promise<Secret> {
    const secret = await this.store.find(this.database.manager, project, name);
    if (secret === null) throw unknown(name);
    return secretOf(secret);
  }

  async list({
    project,
    limit,
    cursor,
  }: InputOf<typeof secretOperations.list>): Promise<OutputOf<typeof secretOperations.list>> {
    const rows = await this.store.page(this.database.manager, project, decodeCursor(cursor, 'string'), limit + 1);
    return pageOfRows(rows, limit, secretOf, ({ name }) => name);
  }

  /** @throws AltoError not_found; conflict naming the apps that use it */
  delete({ project, secret: name }: Address): Promise<Secret> {
    return this.database.transaction(async (transaction) => {
      const secret = await this.store.lock(transaction, project, name);
      if (secret === null || secret.deleted) throw unknown(name);
      checkPrecondition(secret);
      const uses = await this.store.uses(transaction, project, name);
      const apps = [...new Set(uses.filter(({ inUse }) => inUse).map(({ app }) => app))];
      if (apps.length > 0) throw inUse(name, apps, [...new Set(uses.flatMap(({ lostNodes }) => lostNodes))]);
      const version = secret.version + 1;
      await this.store.removeValues(transaction, secret.id);
      if (uses.length === 0) await this.store.remove(transaction, secret.id);
      else await this.store.save(transaction, { ...secret, version, deleted: true });
      await this.announce(transaction, secretEvents.secretDeleted, secret, version);
      return secretOf(secret);
    });
  }

  /** The secret, locked; one that is deleted or was never set is begun, and counts once it has a value. */
  private async lockOrBegin(transaction: EntityManager, project: string, name: string): Promise<SecretEntity> {
    const known = await this.store.lock(transaction, project, name);
    if (known !== null) return known;
    const nowMs = this.clock.nowMs();
    const at = new Date(nowMs);
    const id = newId('secret', nowMs);
    await this.store.insert(transaction, {
      id,
      project,
      name,
      version: 0,
      deleted: true,
      createdAt: at,
      updatedAt: at,
    });
    const begun = await this.store.lock(transaction, project, name);
    if (begun === null)
      throw new AltoError('conflict', { message: `Secret ${name} is being deleted.`, nextStep: 'Try again.' });
    return begun;
  }

  /** A value that no key opens any more is no reason to refuse a new one. */
  private async hasValue(transaction: EntityManager, secret: SecretEntity, value: string): Promise<boolean> {
    if (secret.deleted) return false;
    const present = await this.store.value(transaction, secret.id, secret.version);
    if (present === null) return false;
    try {
      return openSecret(this.keys.current(), present.sealed, placeOf(secret)) === value;
    } catch (error) {
      if (error instanceof SealingError) return false;
      throw error;
    }
  }

  /** Until the transaction ends nobody else adds a secret to the project. */
  private async requireRoom(transaction: EntityManager, project: string): Promise<void> {
    await this.quotas.hold(transaction, project);
    if ((await this.store.count(transaction, project)) < secretsPerProjectMax) return;
    throw new AltoError('quota_exceeded', {
      message: `The project has ${secretsPerProjectMax} secrets, which are the most.`,
      nextStep: 'Delete those that no app uses: `alto secrets list`, `alto secrets delete <name>`.',
    });
  }

  private async forgetUnused(transaction: EntityManager, { id, project, name, version }: SecretEntity): Promise<void> {
    const uses = await this.store.uses(transaction, project, name);
    await this.store.removeValuesBut(transaction, id, [...new Set([version, ...uses.map((use) => use.version)])]);
  }

  private async announce(
    transaction: EntityManager,
    event: (typeof secretEvents)[keyof typeof secretEvents],
    secret: SecretEntity,
    resourceVersion: number,
  ): Promise<void> {
    const data = { secret: secretOf(secret) };
    await this.outbox.append(transaction, event, {
      project: secret.project,
      resource: secret.id,
      resourceVersion,
      data,
    });
  }
}

function placeOf({ project, name, version }: SecretEntity): SecretPlace {
  return { project, name, version };
}

function secretOf({ id, project, name, version, createdAt, updatedAt }: SecretEntity): Secret {
  return { id, project, name, version, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}

function unknown(name: string): AltoError {
  return new AltoError('not_found', `The project has no secret ${name}.`);
}

function inUse(name: string, apps: readonly string[], lostNodes: readonly string[]): AltoError {
  const named = apps.slice(0, namedAppsMax).join(', ');
  const more = apps.length > namedAppsMax ? ` and ${apps.length - namedAppsMax} more` : '';
  const lost =
    lostNodes.length === 0
      ? ''
      : ` Instances on ${listed(lostNodes)}, which is lost, end when that is back, or with \`alto nodes delete <node>\`.`;
  return new AltoError('conflict', {
    message: `Secret ${name} is used by ${apps.length === 1 ? 'the app' : 'the apps'} ${named}${more}.`,
    details: { apps: apps.slice(0, namedAppsMax) },
    nextStep: `Take ${name} out of \`secrets\` of what uses it, and wait until the change is rolled out.${lost}`,
  });
}
