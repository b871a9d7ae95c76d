import { Injectable } from '@nestjs/common';
import { MoreThan, type EntityManager } from 'typeorm';
import { Database } from '@alto/platform';
import { MessageEntity } from './message.entity';

@Injectable()
export class MessagesStore {
  constructor(private readonly db: Database) {}

  /** In the order of publishing. @param after sequence of the last message of the page before; 0 for the first page */
  list(topic: string, limit: number, after: number): Promise<MessageEntity[]> {
    return this.db.manager.find(MessageEntity, {
      where: { topic, sequence: MoreThan(after) },
      order: { sequence: 'ASC' },
      take: limit,
    });
  }

  findByDedupeKey(tx: EntityManager, topic: string, dedupeKey: string): Promise<MessageEntity | null> {
    return tx.findOneBy(MessageEntity, { topic, dedupeKey });
  }

  async insert(tx: EntityManager, message: MessageEntity): Promise<void> {
    await tx.insert(MessageEntity, message);
  }
}
