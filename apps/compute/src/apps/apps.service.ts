/** Apps as users declare them: what is wanted is written here, what is done about it is the reconciler's. */
import { Injectable } from '@nestjs/common';
import {
  AltoError,
  type App,
  type AppPlan,
  type AppSpec,
  computeEvents,
  type computeOperations,
  type DesiredInstance,
  type InputOf,
  type OutputOf,
  storageOperations,
} from '@alto/contracts';
import { AltoClient, type CallContext, checkPrecondition, Clock, Database, Outbox } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { decodeCursor, pageOfRows } from '../cursors';
import { InstancesService } from '../instances/instances.service';
import { Nudges } from '../nudges';
import type { AppStatus } from '../placement/snapshot';
import { QuotasService } from '../quotas/quotas.service';
import { sameContent, sameSpec, specWith } from '../revisions/content';
import type { RevisionEntity, Stamp } from '../revisions/revision.entity';
import { RevisionsService } from '../revisions/revisions.service';
import { isOver, isProven, isToBeJudged, type RolloutView } from '../rollouts/rollout.state';
import { policyOf, RolloutsService } from '../rollouts/rollouts.service';
import type { AppEntity, AppOutline } from './app.entity';
import { appOf, type NewApp, plannedStatus, statusEvents, unborn, unknownApp, unknownRevision } from './app-view';
import { AppsStore } from './apps.store';
import { PreviewsService } from './previews.service';
import { SecretVersions } from './secret-versions';
import { checkSpecification } from './specification';

const creationAttemptsMax = 3;

type PutInput = InputOf<typeof computeOperations.apps.put>;

/** What somebody wants an app to be. */
interface WantedApp {
  readonly spec: AppSpec;
  readonly bundle: DesiredInstance['bundle'];
  readonly call: CallContext;
}

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
    private readonly rollouts: RolloutsService,
    private readonly secrets: SecretVersions,
    private readonly previews: PreviewsService,
    private readonly quotas: QuotasService,
    private readonly client: AltoClient,
    private readonly outbox: Outbox,
    private readonly nudges: Nudges,
    private readonly clock: Clock,
  ) {}

  /**
   * Creates the app or changes it to the specification; the same specification again changes nothing.
   * @throws AltoError invalid_request, or unprocessable for a bundle that the project does not have
   */
  async put({ project, app: name, dryRun, ...spec }: PutInput, call: CallContext): Promise<App & { plan?: AppPlan }> {
    checkSpecification(spec);
    const bundle = await this.bundleOf(project, name, spec.bundle);
    const projectName = call.caller.projectName ?? project;
    if (dryRun === 'true') return this.previews.of({ project, projectName, name }, spec, call);
    for (let attempt = 1; attempt <= creationAttemptsMax; attempt++) {
      const app = await this.database.transaction(async (transaction) => {
        const known = await this.store.lock(transaction, project, name);
        checkPrecondition(known);
        if (known === null) return this.create(transaction, { project, projectName, name }, { spec, bundle, call });
        return this.change(transaction, { ...known, projectName }, { spec, bundle, call });
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
      checkPrecondition(app);
      if (app.deleting) return appOf(app);
      const { ready, updated, rollout = null } = app.status;
      const status: AppStatus = {
        state: 'deleting',
        reason: 'its instances are about to be stopped',
        desired: 0,
        ready,
        updated,
        rollout,
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

  scale({ project, app: name, replicas }: Address & { replicas: number }, call: CallContext): Promise<App> {
    return this.alter(project, name, async (transaction, app) => {
      if (app.replicas === replicas) return app;
      const spec = { ...app.spec, replicas };
      await this.requireQuota(transaction, app, spec, call);
      return this.moveTo(transaction, app, spec, await this.currentRevision(transaction, app));
    });
  }

  /** Every instance is replaced by one of a revision of the same content, as in any rollout. */
  restart({ project, app: name }: Address): Promise<App> {
    return this.alter(project, name, async (transaction, app) => {
      const { stamp } = await this.currentRevision(transaction, app);
      // Never that of an earlier restart, whose instances may still be there.
      const restart = (await this.revisions.lastNumber(transaction, app.id)) + 1;
      return this.renew(transaction, app, { ...stamp, restart });
    });
  }

  /** @throws AltoError unprocessable when there is no such revision, or none before the current one */
  rollback({ project, app: name, to }: Address & { to?: number | undefined }, call: CallContext): Promise<App> {
    return this.alter(project, name, async (transaction, app) => {
      const number = to ?? (await this.numberBefore(transaction, app));
      const revision = number === null ? null : await this.revisions.byNumber(transaction, app.id, number);
      if (revision === null) throw unknownRevision(number);
      if (revision.id === app.revision) return app;
      const spec = specWith(app.spec, revision.template, revision.bundle?.id ?? null);
      await this.requireQuota(transaction, app, spec, call);
      return this.moveTo(transaction, app, spec, revision);
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

  /**
   * Records what the app is doing and how far its rollout is; entering a state that lasts is an event. A rollout that
   * fails makes the good revision the app's again. The caller has locked the app.
   */
  async recordPlan(
    transaction: EntityManager,
    app: AppEntity,
    { status, rollout }: { readonly status: AppStatus | null; readonly rollout: RolloutView | null },
  ): Promise<void> {
    if (status === null && rollout === null) return;
    if (rollout !== null) await this.rollouts.record(transaction, rollout);
    const isBad = rollout?.phase === 'reverting' && rollout.good !== null && rollout.good !== app.revision;
    const moved = isBad ? await this.revert(transaction, app, rollout.good!) : app;
    const replicas = app.deleting ? 0 : app.replicas;
    const good = rollout !== null && isProven(rollout, replicas) ? rollout.to : app.goodRevision;
    const entered = status === null || status.state === app.status.state ? undefined : statusEvents[status.state];
    const next: AppEntity = {
      ...moved,
      goodRevision: good,
      status: status ?? app.status,
      version: entered === undefined ? moved.version : moved.version + 1,
    };
    await this.store.save(transaction, next);
    if (isBad) await this.announce(transaction, computeEvents.appUpdated, { ...next, version: moved.version });
    if (entered !== undefined) await this.announce(transaction, entered, next);
  }

  private async revert(transaction: EntityManager, app: AppEntity, good: string): Promise<AppEntity> {
    const revision = await this.revision(transaction, app, good);
    return {
      ...app,
      spec: specWith(app.spec, revision.template, revision.bundle?.id ?? null),
      revision: revision.id,
      revisionNumber: revision.number,
      version: app.version + 1,
      updatedAt: this.clock.now(),
    };
  }

  /** The last of the app: called once no instance is left. The caller has locked the app. */
  async remove(transaction: EntityManager, app: AppEntity): Promise<void> {
    await this.revisions.removeAllOf(transaction, app.id);
    await this.rollouts.removeAllOf(transaction, app.id);
    await this.instances.forgetEnded(transaction, app.id);
    await this.store.remove(transaction, app.id);
    await this.announce(transaction, computeEvents.appDeleted, { ...app, version: app.version + 1 });
  }

  /** @returns null when another call created an app of that name at the same moment */
  private async create(
    transaction: EntityManager,
    facts: NewApp,
    { spec, bundle, call }: WantedApp,
  ): Promise<AppEntity | null> {
    const app = unborn(facts, spec, this.clock.nowMs());
    if (!(await this.store.insert(transaction, app))) return null;
    await this.quotas.require(transaction, call, app, { before: null, after: spec });
    const secrets = await this.secrets.current(transaction, facts.project, spec.secrets);
    const revision = await this.revisions.ensure(transaction, app.id, 0, spec, {
      bundle,
      stamp: { restart: 0, secrets },
    });
    const rollout = await this.beginRollout(transaction, { ...app, revisionNumber: 0 }, spec, revision);
    const created: AppEntity = {
      ...app,
      revision: revision.id,
      revisionNumber: revision.number,
      rollout: rollout.id,
      status: plannedStatus(spec, app.status, rollout),
    };
    await this.store.save(transaction, created);
    await this.announce(transaction, computeEvents.appCreated, created);
    return created;
  }

  private async change(
    transaction: EntityManager,
    app: AppEntity,
    { spec, bundle, call }: WantedApp,
  ): Promise<AppEntity> {
    if (!app.deleting && sameSpec(app.spec, spec)) return app;
    await this.requireQuota(transaction, app, spec, call);
    const revision = sameContent(app.spec, spec)
      ? await this.currentRevision(transaction, app)
      : await this.revisionOf(transaction, app, spec, bundle);
    return this.moveTo(transaction, app, spec, revision);
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

  private currentRevision(transaction: EntityManager, app: AppEntity): Promise<RevisionEntity> {
    return this.revision(transaction, app, app.revision);
  }

  private async revision(transaction: EntityManager, app: AppEntity, id: string): Promise<RevisionEntity> {
    const revision = (await this.revisions.byIds(transaction, [id])).get(id);
    if (revision === undefined) throw new Error(`app ${app.id} has no revision ${id}`);
    return revision;
  }

  /** Number of the revision to go back to when none is named: the good one, or where the app came from. */
  private async numberBefore(transaction: EntityManager, app: AppEntity): Promise<number | null> {
    const rollout = await this.newestRollout(transaction, app);
    if (rollout !== null) {
      const { phase, fromNumber, goodNumber } = rollout;
      const number = isOver({ phase }) ? fromNumber : goodNumber;
      if (number !== null && number !== app.revisionNumber) return number;
    }
    return (await this.revisions.before(transaction, app.id, app.revisionNumber))?.number ?? null;
  }

  /** Changes an app that exists, in one transaction that holds its row. @throws AltoError not_found, conflict */
  private alter(
    project: string,
    name: string,
    change: (transaction: EntityManager, app: AppEntity) => Promise<AppEntity>,
  ): Promise<App> {
    return this.database.transaction(async (transaction) => {
      const app = await this.store.lock(transaction, project, name);
      if (app === null) throw unknownApp(name);
      checkPrecondition(app);
      if (app.deleting) throw new AltoError('conflict', `App ${name} is being deleted.`);
      return appOf(await change(transaction, app));
    });
  }

  private requireQuota(transaction: EntityManager, app: AppEntity, spec: AppSpec, call: CallContext): Promise<void> {
    const before = { replicas: app.replicas, resources: app.spec.resources };
    return this.quotas.require(transaction, call, app, { before, after: spec });
  }

  private async beginRollout(
    transaction: EntityManager,
    app: AppEntity,
    spec: AppSpec,
    revision: RevisionEntity,
  ): Promise<RolloutView> {
    const { goodRevision } = app;
    const good =
      goodRevision === null || goodRevision === revision.id
        ? null
        : await this.revision(transaction, app, goodRevision);
    const policy = policyOf(spec, good !== null && app.replicas > 0 && !app.deleting);
    // One that begins with replicas again comes from what has been seen healthy before, if anything has.
    const before = revision.id === app.revision && !app.deleting ? (good?.number ?? 0) : app.revisionNumber;
    const fromNumber = before === 0 ? null : before;
    return this.rollouts.begin(transaction, { app: app.id, to: revision, fromNumber, good, policy }, app.rollout);
  }

  private async isToBeJudged(transaction: EntityManager, app: AppEntity, spec: AppSpec): Promise<boolean> {
    const newest = await this.newestRollout(transaction, app);
    return isToBeJudged({ ...app, good: app.goodRevision }, spec.replicas, newest);
  }

  private async newestRollout(transaction: EntityManager, { rollout }: AppEntity): Promise<RolloutView | null> {
    if (rollout === null) return null;
    return (await this.rollouts.views(transaction, [rollout])).get(rollout) ?? null;
  }

  private async moveTo(
    transaction: EntityManager,
    app: AppEntity,
    spec: AppSpec,
    revision: RevisionEntity,
  ): Promise<AppEntity> {
    const begins = revision.id !== app.revision || app.deleting || (await this.isToBeJudged(transaction, app, spec));
    const rollout = begins ? await this.beginRollout(transaction, app, spec, revision) : null;
    if (!begins && app.rollout !== null) await this.rollouts.adjust(transaction, app.rollout, spec);
    const changed: AppEntity = {
      ...app,
      spec,
      replicas: spec.replicas,
      revision: revision.id,
      revisionNumber: revision.number,
      version: app.version + 1,
      deleting: false,
      rollout: rollout?.id ?? app.rollout,
      status: plannedStatus(spec, app.status, rollout),
      updatedAt: this.clock.now(),
    };
    await this.store.save(transaction, changed);
    const inUse = await this.instances.revisionsInUse(transaction, app.id);
    await this.revisions.prune(
      transaction,
      app.id,
      new Set([...inUse, revision.id, ...(app.goodRevision === null ? [] : [app.goodRevision])]),
    );
    await this.announce(transaction, computeEvents.appUpdated, changed);
    return changed;
  }

  private async announce(
    transaction: EntityManager,
    event: (typeof computeEvents)[
      'appCreated' | 'appUpdated' | 'appReady' | 'appDegraded' | 'appRolledBack' | 'appDeleted'],
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
