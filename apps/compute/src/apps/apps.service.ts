/** Apps as users declare them: what is wanted is written here, what is done about it is the reconciler's. */
import { Injectable } from '@nestjs/common';
import {
  AltoError,
  type App,
  type AppSpec,
  computeEvents,
  type computeOperations,
  type DesiredInstance,
  type InputOf,
  newId,
  type OutputOf,
  storageOperations,
} from '@alto/contracts';
import { AltoClient, type CallContext, Clock, Database, Outbox } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { decodeCursor, pageOfRows } from '../cursors';
import { InstancesService } from '../instances/instances.service';
import { Nudges } from '../nudges';
import type { AppStatus } from '../placement/snapshot';
import { sameContent, sameSpec } from '../revisions/content';
import type { RevisionEntity, Stamp } from '../revisions/revision.entity';
import { RevisionsService } from '../revisions/revisions.service';
import type { AppEntity, AppOutline } from './app.entity';
import { AppsStore } from './apps.store';
import { SecretVersions } from './secret-versions';
import { checkSpecification } from './specification';

const creationAttemptsMax = 3;

type PutInput = InputOf<typeof computeOperations.apps.put>;

interface Address {
  readonly project: string;
  readonly app: string;
}

@Injectable()
export class AppsService {
  constructor(
    private readonly database: Database,
    private readonly store: AppsStore,
    private readonly revisions: RevisionsService,
    private readonly instances: InstancesService,
    private readonly secrets: SecretVersions,
    private readonly client: AltoClient,
    private readonly outbox: Outbox,
    private readonly nudges: Nudges,
    private readonly clock: Clock,
  ) {}

  /**
   * Creates the app or changes it to the specification; the same specification again changes nothing.
   * @throws AltoError invalid_request, or unprocessable for a bundle that the project does not have
   */
  async put({ project, app: name, ...spec }: PutInput, call: CallContext): Promise<App> {
    checkSpecification(spec);
    const bundle = await this.bundleOf(project, name, spec.bundle);
    const projectName = call.caller.projectName ?? project;
    for (let attempt = 1; attempt <= creationAttemptsMax; attempt++) {
      const app = await this.database.transaction(async (transaction) => {
        const known = await this.store.lock(transaction, project, name);
        if (known === null) return this.create(transaction, { project, projectName, name }, spec, bundle);
        return this.change(transaction, known, projectName, spec, bundle);
      });
      if (app !== null) return appOf(app);
    }
    throw new AltoError('conflict', {
      message: `App ${name} is being created by somebody else.`,
      nextStep: 'Try again.',
    });
  }

  async get(address: Address): Promise<App> {
    return appOf(await this.find(address));
  }

  async list({
    project,
    limit,
    cursor,
  }: InputOf<typeof computeOperations.apps.list>): Promise<OutputOf<typeof computeOperations.apps.list>> {
    const rows = await this.store.page(this.database.manager, project, decodeCursor(cursor, 'string'), limit + 1);
    return pageOfRows(rows, limit, appOf, ({ name }) => name);
  }

  /** Its instances are drained and stopped by the reconciler, which then removes the app. */
  async delete({ project, app: name }: Address): Promise<App> {
    return this.database.transaction(async (transaction) => {
      const app = await this.store.lock(transaction, project, name);
      if (app === null) throw unknownApp(name);
      if (app.deleting) return appOf(app);
      const { ready, updated } = app.status;
      const status: AppStatus = {
        state: 'deleting',
        reason: 'its instances are about to be stopped',
        desired: 0,
        ready,
        updated,
      };
      const deleted: AppEntity = {
        ...app,
        deleting: true,
        status,
        version: app.version + 1,
        updatedAt: this.clock.now(),
      };
      await this.store.save(transaction, deleted);
      this.database.afterCommit(transaction, () => this.nudges.reconciler());
      return appOf(deleted);
    });
  }

  /** @throws AltoError not_found */
  async find({ project, app: name }: Address): Promise<AppEntity> {
    const app = await this.store.find(this.database.manager, project, name);
    if (app === null) throw unknownApp(name);
    return app;
  }

  outlines(manager: EntityManager): Promise<AppOutline[]> {
    return this.store.outlines(manager);
  }

  /**
   * Gives every app that names the secret a new revision with that version of it, in the transaction that sets it.
   * @returns names of those apps
   */
  async touchRevisions(
    transaction: EntityManager,
    { project, secret, version }: { project: string; secret: string; version: number },
  ): Promise<string[]> {
    const apps = await this.store.lockBySecret(transaction, project, secret);
    for (const app of apps) {
      const { stamp } = await this.currentRevision(transaction, app);
      await this.renew(transaction, app, { ...stamp, secrets: { ...stamp.secrets, [secret]: version } });
    }
    return apps.map(({ name }) => name);
  }

  /** Locks the app for a planned change. @throws AltoError conflict when it has changed since the version planned for */
  async lockForPlan(transaction: EntityManager, id: string, version: number): Promise<AppEntity> {
    const app = await this.store.lockById(transaction, id);
    if (app?.version !== version)
      throw new AltoError('conflict', 'The app has changed while a change of it was planned.');
    return app;
  }

  /** Records what the app is doing; entering `running` or `degraded` is an event. The caller has locked the app. */
  async recordStatus(transaction: EntityManager, app: AppEntity, status: AppStatus): Promise<void> {
    const entered = status.state === app.status.state ? undefined : statusEvents[status.state];
    const next: AppEntity = { ...app, status, version: entered === undefined ? app.version : app.version + 1 };
    await this.store.save(transaction, next);
    if (entered !== undefined) await this.announce(transaction, entered, next);
  }

  /** The last of the app: called once no instance is left. The caller has locked the app. */
  async remove(transaction: EntityManager, app: AppEntity): Promise<void> {
    await this.revisions.removeAllOf(transaction, app.id);
    await this.store.remove(transaction, app.id);
    await this.announce(transaction, computeEvents.appDeleted, { ...app, version: app.version + 1 });
  }

  /** @returns null when another call created an app of that name at the same moment */
  private async create(
    transaction: EntityManager,
    facts: Pick<AppEntity, 'project' | 'projectName' | 'name'>,
    spec: AppSpec,
    bundle: DesiredInstance['bundle'],
  ): Promise<AppEntity | null> {
    const nowMs = this.clock.nowMs();
    const at = new Date(nowMs);
    const app: AppEntity = {
      id: newId('app', nowMs),
      ...facts,
      spec,
      replicas: spec.replicas,
      revision: newId('revision', nowMs),
      revisionNumber: 1,
      version: 1,
      deleting: false,
      status: plannedStatus(spec, { ready: 0 }),
      createdAt: at,
      updatedAt: at,
    };
    if (!(await this.store.insert(transaction, app))) return null;
    const secrets = await this.secrets.current(transaction, facts.project, spec.secrets);
    const revision = await this.revisions.ensure(transaction, app.id, 0, spec, {
      bundle,
      stamp: { restart: 0, secrets },
    });
    const created: AppEntity = { ...app, revision: revision.id, revisionNumber: revision.number };
    await this.store.save(transaction, created);
    await this.announce(transaction, computeEvents.appCreated, created);
    return created;
  }

  private async change(
    transaction: EntityManager,
    app: AppEntity,
    projectName: string,
    spec: AppSpec,
    bundle: DesiredInstance['bundle'],
  ): Promise<AppEntity> {
    if (!app.deleting && sameSpec(app.spec, spec)) return app;
    const revision = sameContent(app.spec, spec)
      ? await this.currentRevision(transaction, app)
      : await this.revisionOf(transaction, app, spec, bundle);
    return this.moveTo(transaction, { ...app, projectName }, spec, revision);
  }

  /** Makes a revision of the app's specification as it is, with another stamp. The caller has locked the app. */
  private async renew(transaction: EntityManager, app: AppEntity, stamp: Stamp): Promise<AppEntity> {
    const { bundle } = await this.currentRevision(transaction, app);
    const lastNumber = await this.revisions.lastNumber(transaction, app.id);
    const revision = await this.revisions.ensure(transaction, app.id, lastNumber, app.spec, { bundle, stamp });
    return this.moveTo(transaction, app, app.spec, revision);
  }

  private async revisionOf(
    transaction: EntityManager,
    app: AppEntity,
    spec: AppSpec,
    bundle: DesiredInstance['bundle'],
  ): Promise<RevisionEntity> {
    const secrets = await this.secrets.current(transaction, app.project, spec.secrets);
    const lastNumber = await this.revisions.lastNumber(transaction, app.id);
    return this.revisions.ensure(transaction, app.id, lastNumber, spec, { bundle, stamp: { restart: 0, secrets } });
  }

  private async currentRevision(transaction: EntityManager, app: AppEntity): Promise<RevisionEntity> {
    const revision = (await this.revisions.byIds(transaction, [app.revision])).get(app.revision);
    if (revision === undefined) throw new Error(`app ${app.id} has no revision ${app.revision}`);
    return revision;
  }

  private async moveTo(
    transaction: EntityManager,
    app: AppEntity,
    spec: AppSpec,
    revision: RevisionEntity,
  ): Promise<AppEntity> {
    const changed: AppEntity = {
      ...app,
      spec,
      replicas: spec.replicas,
      revision: revision.id,
      revisionNumber: revision.number,
      version: app.version + 1,
      deleting: false,
      status: plannedStatus(spec, app.status),
      updatedAt: this.clock.now(),
    };
    await this.store.save(transaction, changed);
    const inUse = await this.instances.revisionsInUse(transaction, app.id);
    await this.revisions.prune(transaction, app.id, new Set([...inUse, revision.id]));
    await this.announce(transaction, computeEvents.appUpdated, changed);
    return changed;
  }

  private async announce(
    transaction: EntityManager,
    event: (typeof computeEvents)['appCreated' | 'appUpdated' | 'appReady' | 'appDegraded' | 'appDeleted'],
    app: AppEntity,
  ): Promise<void> {
    const facts = { project: app.project, resource: app.id, resourceVersion: app.version, data: { app: appOf(app) } };
    await this.outbox.append(transaction, event, facts);
    this.database.afterCommit(transaction, () => this.nudges.reconciler());
  }

  /** Asks storage only for a bundle that the app does not have already: it can be scaled while storage is away. */
  private async bundleOf(project: string, name: string, bundle: string | null): Promise<DesiredInstance['bundle']> {
    if (bundle === null) return null;
    const { manager } = this.database;
    const app = await this.store.find(manager, project, name);
    const current = app === null ? undefined : (await this.revisions.byIds(manager, [app.revision])).get(app.revision);
    if (current?.bundle?.id === bundle) return current.bundle;
    try {
      const { id, sha256, sizeBytes } = await this.client.call(storageOperations.bundles.get, { project, bundle });
      return { id, sha256, sizeBytes };
    } catch (error) {
      if (!(error instanceof AltoError) || error.code !== 'not_found') throw error;
      throw new AltoError('unprocessable', {
        message: `bundle: the project has no bundle ${bundle}`,
        field: 'bundle',
        nextStep: 'Upload it first: POST /v1/projects/{project}/bundles, or `alto deploy <folder>`.',
      });
    }
  }
}

export function appOf(row: AppEntity): App {
  return {
    id: row.id,
    project: row.project,
    name: row.name,
    spec: row.spec,
    revision: row.revisionNumber,
    version: row.version,
    status: row.status,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

const statusEvents = {
  running: computeEvents.appReady,
  degraded: computeEvents.appDegraded,
  progressing: undefined,
  stopped: undefined,
  deleting: undefined,
} as const;

/** Until the reconciler has looked: never what was true of the specification before. */
function plannedStatus(spec: AppSpec, before: Pick<AppStatus, 'ready'>): AppStatus {
  const counts = { desired: spec.replicas, ready: before.ready, updated: 0 };
  return { ...counts, state: 'progressing', reason: 'what to do about the change is about to be decided' };
}

function unknownApp(name: string): AltoError {
  return new AltoError('not_found', `The project has no app ${name}.`);
}
