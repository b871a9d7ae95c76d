/** What a change of an app would do: read and worked out, and nothing done. */
import { Injectable } from '@nestjs/common';
import type { App, AppPlan, AppSpec } from '@alto/contracts';
import { type CallContext, checkPrecondition, Clock, Database } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { InstancesService } from '../instances/instances.service';
import { NodesService } from '../nodes/nodes.service';
import { occupancyOf } from '../placement/occupancy';
import { place } from '../placement/placement';
import type { RevisionView } from '../placement/snapshot';
import { QuotasService } from '../quotas/quotas.service';
import { sameContent } from '../revisions/content';
import type { RevisionEntity, Stamp } from '../revisions/revision.entity';
import { bytesToInstruct, RevisionsService } from '../revisions/revisions.service';
import { isToBeJudged } from '../rollouts/rollout.state';
import { policyOf, RolloutsService } from '../rollouts/rollouts.service';
import type { AppEntity } from './app.entity';
import { appOf, type NewApp, unborn } from './app-view';
import { AppsStore } from './apps.store';
import { newInstances, previewOf } from './preview';
import { SecretVersions } from './secret-versions';

@Injectable()
export class PreviewsService {
  constructor(
    private readonly database: Database,
    private readonly store: AppsStore,
    private readonly revisions: RevisionsService,
    private readonly rollouts: RolloutsService,
    private readonly secrets: SecretVersions,
    private readonly instances: InstancesService,
    private readonly nodes: NodesService,
    private readonly quotas: QuotasService,
    private readonly clock: Clock,
  ) {}

  /** @throws AltoError as the change itself would, for secrets, quotas and conditions */
  of(facts: NewApp, spec: AppSpec, call: CallContext): Promise<App & { plan: AppPlan }> {
    return this.database.transaction(async (transaction) => {
      const { project, name } = facts;
      const secrets = await this.secrets.current(transaction, project, spec.secrets);
      const app = await this.store.find(transaction, project, name);
      checkPrecondition(app);
      const shown = app ?? unborn(facts, spec, this.clock.nowMs());
      const before = app === null ? null : { replicas: app.replicas, resources: app.spec.resources };
      const trial = { caller: call.caller, terms: { dryRun: true } };
      await this.quotas.require(transaction, trial, shown, { before, after: spec });
      return { ...appOf(shown), plan: await this.plan(transaction, app, spec, secrets) };
    });
  }

  private async plan(
    transaction: EntityManager,
    app: AppEntity | null,
    spec: AppSpec,
    secrets: Stamp['secrets'],
  ): Promise<AppPlan> {
    const existing = app === null ? null : await this.existingRevision(transaction, app, spec, secrets);
    const lastNumber = app === null ? 0 : await this.revisions.lastNumber(transaction, app.id);
    const begins =
      app === null ||
      app.deleting ||
      existing?.id !== app.revision ||
      (await this.isToBeJudged(transaction, app, spec));
    const goodId = app?.goodRevision ?? null;
    const good = goodId === null ? undefined : (await this.revisions.views(transaction, [goodId])).get(goodId);
    const change = {
      before: app?.spec ?? null,
      after: spec,
      revision: existing?.number ?? lastNumber + 1,
      newRevision: existing === null,
      policy: begins ? policyOf(spec, good !== undefined && (app?.replicas ?? 0) > 0) : null,
      good: good?.number ?? null,
    };
    return previewOf(change, await this.refusals(transaction, app?.id ?? '', spec, newInstances(change)));
  }

  private async isToBeJudged(transaction: EntityManager, app: AppEntity, spec: AppSpec): Promise<boolean> {
    const newest =
      app.rollout === null ? undefined : (await this.rollouts.views(transaction, [app.rollout])).get(app.rollout);
    return isToBeJudged({ ...app, good: app.goodRevision }, spec.replicas, newest ?? null);
  }

  private existingRevision(
    transaction: EntityManager,
    app: AppEntity,
    spec: AppSpec,
    secrets: Stamp['secrets'],
  ): Promise<RevisionEntity | null> {
    if (sameContent(app.spec, spec)) return this.revisions.byNumber(transaction, app.id, app.revisionNumber);
    return this.revisions.existing(transaction, app.id, spec, { restart: 0, secrets });
  }

  /** Why each of so many new instances would find no machine now, in words; one entry for each that would not. */
  private async refusals(transaction: EntityManager, app: string, spec: AppSpec, count: number): Promise<string[]> {
    if (count === 0) return [];
    const instances = await this.instances.views(transaction);
    const used = await this.revisions.views(
      transaction,
      instances.map(({ revision }) => revision),
    );
    const { views: nodes } = await this.nodes.survey(transaction);
    const occupancy = occupancyOf({ nodes, instances, revisions: used });
    const { resources, constraints, spread, ports } = spec;
    const setBytes = bytesToInstruct(spec);
    const revision: RevisionView = { id: '', number: 0, resources, constraints, spread, ports, setBytes };
    return Array.from({ length: count }, () => place(occupancy, { app, revision })).flatMap((placed) =>
      placed.node === null ? [placed.reason] : [],
    );
  }
}
