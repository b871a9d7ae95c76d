import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AppEntity } from '../apps/app.entity';
import { RevisionEntity } from '../revisions/revision.entity';
import { ProjectLockEntity } from './project-lock.entity';

/** What apps ask for, running or not. */
export interface Use {
  readonly apps: number;
  readonly instances: number;
  readonly cpuMillis: number;
  readonly memoryBytes: number;
}

@Injectable()
export class QuotasStore {
  /** Locks the project's use until the transaction ends. */
  async lock(transaction: EntityManager, project: string): Promise<void> {
    await transaction.createQueryBuilder().insert().into(ProjectLockEntity).values({ project }).orIgnore().execute();
    await transaction.findOneOrFail(ProjectLockEntity, { where: { project }, lock: { mode: 'pessimistic_write' } });
  }

  /** What all apps of the project ask for, also those that are being deleted and not gone yet. @param but id of an app that is left out */
  async use(manager: EntityManager, project: string, but: string | null): Promise<Use> {
    const query = manager
      .createQueryBuilder(AppEntity, 'app')
      .innerJoin(RevisionEntity, 'revision', 'revision.id = app.revision')
      .select('count(*)::float8', 'apps')
      .addSelect('coalesce(sum(app.replicas), 0)::float8', 'instances')
      .addSelect('coalesce(sum(app.replicas * revision.cpu_millis::numeric), 0)::float8', 'cpuMillis')
      .addSelect('coalesce(sum(app.replicas * revision.memory_bytes::numeric), 0)::float8', 'memoryBytes')
      .where('app.project = :project', { project });
    if (but !== null) query.andWhere('app.id <> :but', { but });
    return (await query.getRawOne<Use>())!;
  }
}
