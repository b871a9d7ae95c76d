import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import {
  gatewayEvents,
  type Operation,
  type OutputOf,
  type ProjectLimits,
  type ProjectQuotas,
  type ProjectUse,
  type usageOperation,
} from '@alto/contracts';
import { AltoClient, checkPrecondition, Clock, Database, Log, Outbox } from '@alto/platform';
import { unknownProject } from '../identity/principal';
import type { LearnedOperation } from '../routing/learned-operation';
import { Routes } from '../routing/routes.service';
import type { QuotaEntity } from './quota.entity';
import { QuotasStore } from './quotas.store';

/** A service that does not say within it how much there is, is left out. */
const usageTimeoutMs = 2_000;

/**
 * How much a project may have. The limits travel in every caller's token, and the service that makes a thing holds its
 * project to them in the transaction in which it makes it.
 */
@Injectable()
export class QuotasService {
  constructor(
    private readonly database: Database,
    private readonly store: QuotasStore,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
    private readonly client: AltoClient,
    private readonly routes: Routes,
    private readonly log: Log,
  ) {}

  async get(project: string): Promise<ProjectQuotas & { use: ProjectUse; unavailable: string[] }> {
    const quota = await this.store.find(project);
    return { ...toQuotas(project, quota), ...(await this.countUse(project)) };
  }

  /** Limits may be set below what there is already: nothing is taken away, and nothing is added until it fits. */
  async put(project: string, limits: ProjectLimits): Promise<ProjectQuotas> {
    const quota = await this.database.transaction(async (transaction) => {
      if (!(await this.store.lockProject(transaction, project))) throw unknownProject();
      const present = await this.store.findIn(transaction, project);
      // Without limits they are there as well, as version 0.
      checkPrecondition(present ?? { version: 0 });
      if (present && isDeepStrictEqual(present.limits, limits)) return present;
      const version = (present?.version ?? 0) + 1;
      const next: QuotaEntity = { projectId: project, limits, version, updatedAt: this.clock.now() };
      await this.store.save(transaction, next);
      const data = toQuotas(project, next);
      const facts = { project, resource: `quotas_${project}`, resourceVersion: version, data };
      await this.outbox.append(transaction, gatewayEvents.quotasUpdated, facts);
      return next;
    });
    return toQuotas(project, quota);
  }

  /** Asks whichever services announce that they count something. */
  private async countUse(project: string): Promise<{ use: ProjectUse; unavailable: string[] }> {
    const counting = this.routes.operations.filter(({ service, name }) => name === `${service}.usage.get`);
    const answers = await Promise.all(counting.map((operation) => this.ask(operation, project)));
    return {
      use: Object.assign({}, ...answers.map((answer) => answer?.use)) as ProjectUse,
      unavailable: counting.filter((_, index) => answers[index] === undefined).map(({ service }) => service),
    };
  }

  private async ask(operation: LearnedOperation, project: string): Promise<OutputOf<Usage> | undefined> {
    try {
      return await this.client.call(operation as unknown as Usage, { project }, { timeoutMs: usageTimeoutMs });
    } catch (error) {
      this.log.debug('A service does not say how much a project has', { service: operation.service, error });
      return undefined;
    }
  }
}

type Usage = ReturnType<typeof usageOperation> & Operation;

function toQuotas(project: string, quota: QuotaEntity | undefined): ProjectQuotas {
  return {
    project,
    limits: quota?.limits ?? {},
    version: quota?.version ?? 0,
    updatedAt: quota?.updatedAt.toISOString() ?? null,
  };
}
