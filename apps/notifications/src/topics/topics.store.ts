import { Injectable } from '@nestjs/common';
import { MoreThan, type EntityManager } from 'typeorm';
import { Database } from '@alto/platform';
import { TopicEntity } from './topic.entity';

@Injectable()
export class TopicsStore {
  constructor(private readonly db: Database) {}

  find(project: string, name: string): Promise<TopicEntity | null> {
    return this.db.manager.findOneBy(TopicEntity, { project, name });
  }

  /** By name. @param after name of the last topic of the page before */
  list(project: string, limit: number, after?: string): Promise<TopicEntity[]> {
    return this.db.manager.find(TopicEntity, {
      where: { project, ...(after !== undefined && { name: MoreThan(after) }) },
      order: { name: 'ASC' },
      take: limit,
    });
  }

  /** The topic of that name, made of `fresh` when there was none, and locked until the transaction ends. */
  async lockOrAdd(tx: EntityManager, fresh: TopicEntity): Promise<TopicEntity> {
    const { project, name } = fresh;
    const lock = { mode: 'pessimistic_write' } as const;
    const present = await tx.findOne(TopicEntity, { where: { project, name }, lock });
    if (present !== null) return present;
    await tx.createQueryBuilder().insert().into(TopicEntity).values(fresh).orIgnore().execute();
    return tx.findOneOrFail(TopicEntity, { where: { project, name }, lock });
  }

  async advance(tx: EntityManager, id: string, lastSequence: number): Promise<void> {
    await tx.update(TopicEntity, { id }, { lastSequence });
  }
}
