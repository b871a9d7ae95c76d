import { Injectable } from '@nestjs/common';
import { type AppSpec, type DesiredInstance, newId, type Revision } from '@alto/contracts';
import { Clock } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { SecretVersions } from '../apps/secret-versions';
import { decodeCursor, pageOfRows } from '../cursors';
import type { RevisionView } from '../placement/snapshot';
import { canonical, hashOf, templateOf } from './content';
import { RevisionEntity, type Stamp } from './revision.entity';
import { RevisionsStore } from './revisions.store';

/** Revisions of an app that can be gone back to. */
export const revisionsKept = 10;
/** Ids, names and sizes that an agent is told of an instance beside its template; those of the bundle too. */
const instructionBytes = 800;

@Injectable()
export class RevisionsService {
  constructor(
    private readonly store: RevisionsStore,
    private readonly secrets: SecretVersions,
    private readonly clock: Clock,
  ) {}

  /**
   * The revision of this content: the one that exists, or a new one. The caller has locked the app's row.
   * @param lastNumber highest number that the app has given out
   */
  async ensure(
    transaction: EntityManager,
    app: string,
    lastNumber: number,
    spec: AppSpec,
    { bundle, stamp }: { bundle: DesiredInstance['bundle']; stamp: Stamp },
  ): Promise<RevisionEntity> {
    const template = templateOf(spec);
    const hash = hashOf(template, spec.bundle, stamp);
    const existing = await this.store.byHash(transaction, app, hash);
    if (existing !== null) return existing;
    const nowMs = this.clock.nowMs();
    const secretBytes = await this.secrets.instructionBytes(transaction, app, stamp.secrets);
    const setBytes = bytesToInstruct(spec) + secretBytes;
    const revision: RevisionEntity = {
      id: newId('revision', nowMs),
      app,
      number: lastNumber + 1,
      hash,
      template,
      bundle,
      stamp,
      placement: { constraints: template.constraints, spread: template.spread, ports: template.ports },
      ...template.resources,
      setBytes,
      createdAt: new Date(nowMs),
    };
    await this.store.insert(transaction, revision);
    return revision;
  }

  /** The revision of this content, or null. */
  existing(transaction: EntityManager, app: string, spec: AppSpec, stamp: Stamp): Promise<RevisionEntity | null> {
    return this.store.byHash(transaction, app, hashOf(templateOf(spec), spec.bundle, stamp));
  }

  /** Removes the oldest ones beyond those that are kept; never one that is in use. */
  async prune(transaction: EntityManager, app: string, inUse: ReadonlySet<string>): Promise<void> {
    const newest = await this.store.page(transaction, app, undefined, 1_000);
    const surplus = newest.slice(revisionsKept).filter(({ id }) => !inUse.has(id));
    await this.store.remove(
      transaction,
      surplus.map(({ id }) => id),
    );
  }

  /** Highest number given out: the newest revisions are never pruned, so no number is given twice. */
  async lastNumber(transaction: EntityManager, app: string): Promise<number> {
    const [newest] = await this.store.page(transaction, app, undefined, 1);
    return newest?.number ?? 0;
  }

  byNumber(manager: EntityManager, app: string, number: number): Promise<RevisionEntity | null> {
    return this.store.byNumber(manager, app, number);
  }

  /** The newest one below that number. */
  async before(manager: EntityManager, app: string, number: number): Promise<RevisionEntity | null> {
    const [revision] = await this.store.page(manager, app, number, 1);
    return revision ?? null;
  }

  async byIds(manager: EntityManager, ids: Iterable<string>): Promise<Map<string, RevisionEntity>> {
    const revisions = await this.store.byIds(manager, [...new Set(ids)]);
    return new Map(revisions.map((revision) => [revision.id, revision]));
  }

  /** As the planner sees them, by id. */
  async views(manager: EntityManager, ids: Iterable<string>): Promise<Map<string, RevisionView>> {
    const needs = await this.store.needsOf(manager, [...new Set(ids)]);
    return new Map(
      needs.map(({ id, number, cpuMillis, memoryBytes, setBytes, placement }) => [
        id,
        { id, number, resources: { cpuMillis, memoryBytes }, setBytes, ...placement },
      ]),
    );
  }

  removeAllOf(transaction: EntityManager, app: string): Promise<void> {
    return this.store.removeAllOf(transaction, app);
  }

  async list(
    manager: EntityManager,
    app: { readonly id: string; readonly revision: string },
    { limit, cursor }: { limit: number; cursor?: string | undefined },
  ): Promise<{ items: Revision[]; nextCursor?: string }> {
    const rows = await this.store.page(manager, app.id, decodeCursor(cursor, 'number'), limit + 1);
    const view = (row: RevisionEntity) => revisionOf(row, app.revision);
    return pageOfRows(rows, limit, view, ({ number }) => number);
  }
}

/** What an agent is told of one instance of it, without its secrets. */
export function bytesToInstruct(spec: AppSpec): number {
  return Buffer.byteLength(canonical(templateOf(spec))) + instructionBytes;
}

function revisionOf(row: RevisionEntity, current: string): Revision {
  return {
    id: row.id,
    app: row.app,
    number: row.number,
    bundle: row.bundle?.id ?? null,
    command: row.template.command,
    env: row.template.env,
    secrets: { ...row.stamp.secrets },
    current: row.id === current,
    createdAt: row.createdAt.toISOString(),
  };
}
