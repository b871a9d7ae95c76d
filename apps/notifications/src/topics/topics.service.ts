import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AltoError, newId, type Topic } from '@alto/contracts';
import { Clock } from '@alto/platform';
import type { TopicEntity } from './topic.entity';
import { TopicsStore } from './topics.store';

@Injectable()
export class TopicsService {
  constructor(
    private readonly store: TopicsStore,
    private readonly clock: Clock,
  ) {}

  /** @throws AltoError `not_found` also for a topic of another project */
  async find(project: string, name: string): Promise<TopicEntity> {
    const topic = await this.store.find(project, name);
    if (topic !== null) return topic;
    throw new AltoError('not_found', {
      message: `There is no topic ${name}.`,
      field: 'topic',
      nextStep: 'Publish a message to it: that makes it.',
    });
  }

  async list(project: string, limit: number, cursor?: string): Promise<{ items: Topic[]; nextCursor?: string }> {
    const found = await this.store.list(project, limit + 1, cursor);
    const items = found.slice(0, limit).map(view);
    return found.length > limit ? { items, nextCursor: items.at(-1)?.name } : { items };
  }

  /** Locks the topic, which is made when there is none, until the transaction ends. */
  lock(tx: EntityManager, project: string, name: string): Promise<TopicEntity> {
    const createdAt = this.clock.now();
    const id = newId('topic', createdAt.getTime());
    return this.store.lockOrAdd(tx, { id, project, name, lastSequence: 0, createdAt });
  }

  advance(tx: EntityManager, topic: TopicEntity, lastSequence: number): Promise<void> {
    return this.store.advance(tx, topic.id, lastSequence);
  }
}

function view({ id, project, name, lastSequence, createdAt }: TopicEntity): Topic {
  return { id, project, name, lastSequence, createdAt: createdAt.toISOString() };
}
