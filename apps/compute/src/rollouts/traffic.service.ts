/** How instances answer, as proxies count it; kept only while a rollout runs that is judged by it. */
import { Injectable } from '@nestjs/common';
import type { InstanceTraffic } from '@alto/contracts';
import type { EntityManager } from 'typeorm';
import type { TrafficView } from '../placement/snapshot';
import { tally } from './traffic';
import { TrafficStore } from './traffic.store';

@Injectable()
export class TrafficService {
  constructor(private readonly store: TrafficStore) {}

  /**
   * Takes in what a proxy has counted. The caller has locked the proxy's row, so that its reports come one by one.
   * @returns true when anything was of interest
   */
  async record(transaction: EntityManager, proxy: string, reports: readonly InstanceTraffic[]): Promise<boolean> {
    const watched = reports.length === 0 ? [] : await this.store.watched(transaction);
    if (watched.length === 0) return false;
    const reported = new Map(reports.map((report) => [report.instance, report]));
    const rollouts = [...new Set(watched.map(({ rollout }) => rollout))];
    const known = await this.store.of(transaction, proxy, rollouts);
    const before = new Map(known.map((row) => [`${row.rollout} ${row.instance}`, row]));
    const rows = watched.flatMap(({ rollout, instance, revision, createdAt, begunAt }) => {
      const report = reported.get(instance);
      if (report === undefined) return [];
      const isNew = begunAt !== null && createdAt.getTime() >= begunAt;
      const counts = tally(before.get(`${rollout} ${instance}`) ?? null, report, isNew);
      return [{ rollout, instance, proxy, revision, ...counts }];
    });
    if (rows.length > 0) await this.store.put(transaction, rows);
    return rows.length > 0;
  }

  /** Whether a rollout runs that is judged by what proxies count. */
  isWatched(manager: EntityManager): Promise<boolean> {
    return this.store.isAnyJudged(manager);
  }

  /** By rollout id. */
  async views(manager: EntityManager, rollouts: readonly string[]): Promise<Map<string, TrafficView[]>> {
    const sums = rollouts.length === 0 ? [] : await this.store.sums(manager, rollouts);
    return Map.groupBy(sums, ({ rollout }) => rollout);
  }

  async forget(transaction: EntityManager, rollout: string): Promise<void> {
    await this.store.remove(transaction, rollout);
  }

  async prune(transaction: EntityManager): Promise<void> {
    await this.store.removeStale(transaction);
  }
}
