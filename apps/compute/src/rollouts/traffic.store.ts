import { Injectable } from '@nestjs/common';
import { type EntityManager, In } from 'typeorm';
import type { TrafficView } from '../placement/snapshot';
import { TrafficEntity } from './traffic.entity';

/** An instance of an app that is being rolled out. */
export interface Watched {
  readonly instance: string;
  readonly revision: string;
  readonly rollout: string;
  readonly createdAt: Date;
  /** Unix milliseconds; null while the rollout has not been looked at. */
  readonly begunAt: number | null;
}

/** As `isJudgedByAnswers` has it. */
const judged = `rollout.progress->>'phase' = 'running' AND rollout.progress->>'good' IS NOT NULL`;

@Injectable()
export class TrafficStore {
  /** Whether any app's rollout runs and has something to be compared with. */
  async isAnyJudged(manager: EntityManager): Promise<boolean> {
    const [found] = await manager.query<{ any: boolean }[]>(
      `SELECT EXISTS (SELECT FROM app JOIN rollout ON rollout.id = app.rollout WHERE ${judged}) AS "any"`,
    );
    return found?.any ?? false;
  }

  /** Instances of all apps whose rollout runs and has something to be compared with. */
  watched(manager: EntityManager): Promise<Watched[]> {
    return manager.query<Watched[]>(
      `SELECT instance.id AS instance, instance.revision, rollout.id AS rollout, instance.created_at AS "createdAt",
              (rollout.progress->>'begunAt')::float8 AS "begunAt"
       FROM app JOIN rollout ON rollout.id = app.rollout JOIN instance ON instance.app = app.id
       WHERE ${judged}`,
    );
  }

  of(manager: EntityManager, proxy: string, rollouts: readonly string[]): Promise<TrafficEntity[]> {
    return manager.findBy(TrafficEntity, { proxy, rollout: In([...rollouts]) });
  }

  async put(transaction: EntityManager, rows: readonly TrafficEntity[]): Promise<void> {
    await transaction.upsert(TrafficEntity, [...rows], ['rollout', 'instance', 'proxy']);
  }

  /** Sums over all proxies. */
  sums(manager: EntityManager, rollouts: readonly string[]): Promise<(TrafficView & { readonly rollout: string })[]> {
    return manager
      .createQueryBuilder(TrafficEntity, 'traffic')
      .select(['traffic.rollout AS rollout', 'traffic.instance AS instance', 'traffic.revision AS revision'])
      .addSelect('sum(traffic.requests)::float8', 'requests')
      .addSelect('sum(traffic.failures)::float8', 'failures')
      .where({ rollout: In([...rollouts]) })
      .groupBy('traffic.rollout')
      .addGroupBy('traffic.instance')
      .addGroupBy('traffic.revision')
      .orderBy('traffic.instance')
      .getRawMany();
  }

  async remove(transaction: EntityManager, rollout: string): Promise<void> {
    await transaction.delete(TrafficEntity, { rollout });
  }

  /** Rows that a report brought in while the rollout ended. */
  async removeStale(transaction: EntityManager): Promise<void> {
    await transaction.query(
      `DELETE FROM rollout_traffic WHERE NOT EXISTS (
         SELECT FROM rollout WHERE rollout.id = rollout_traffic.rollout AND rollout.progress->>'phase' = 'running')`,
    );
  }
}
