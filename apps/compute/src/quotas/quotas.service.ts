/** Quotas of projects: apps, and what their replicas ask for. The limits come with the caller; what is used is here. */
import { Injectable } from '@nestjs/common';
import { Database, hasQuota, requireQuota, type CallContext } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { QuotasStore, type Use } from './quotas.store';

/** What an app asks for: its replicas, and what each of them needs. */
export interface Demand {
  readonly replicas: number;
  readonly resources: { readonly cpuMillis: number; readonly memoryBytes: number };
}

const limited = ['apps', 'instances', 'cpuMillis', 'memoryBytes'] as const;

@Injectable()
export class QuotasService {
  constructor(
    private readonly database: Database,
    private readonly store: QuotasStore,
  ) {}

  /** Everything the project asks for. */
  use(project: string): Promise<Use> {
    return this.store.use(this.database.manager, project, null);
  }

  /** Until the transaction ends nobody else who asks for this counts what the project has, or adds to it. */
  async hold(transaction: EntityManager, project: string): Promise<void> {
    await this.store.lock(transaction, project);
  }

  /**
   * Holds a change of an app to the project's limits, in the transaction that makes it: until that ends nobody else
   * can use more of them. Taken after the app's own lock, as everybody does.
   * @param before null for an app that does not exist yet
   * @throws AltoError quota_exceeded
   */
  async require(
    transaction: EntityManager,
    { caller, terms }: Pick<CallContext, 'caller' | 'terms'>,
    { project, id }: { readonly project: string; readonly id: string },
    { before, after }: { readonly before: Demand | null; readonly after: Demand },
  ): Promise<void> {
    if (!hasQuota(caller, limited)) return;
    // A trial takes nothing, so it need not keep others waiting.
    if (terms.dryRun !== true) await this.store.lock(transaction, project);
    const others = await this.store.use(transaction, project, id);
    const [used, wanted] = [sum(others, before), sum(others, after)];
    requireQuota(
      caller,
      Object.fromEntries(limited.map((name) => [name, { before: used[name], after: wanted[name] }])),
    );
  }
}

function sum(others: Use, demand: Demand | null): Use {
  if (demand === null) return others;
  const { replicas, resources } = demand;
  return {
    apps: others.apps + 1,
    instances: others.instances + replicas,
    cpuMillis: others.cpuMillis + replicas * resources.cpuMillis,
    memoryBytes: others.memoryBytes + replicas * resources.memoryBytes,
  };
}
