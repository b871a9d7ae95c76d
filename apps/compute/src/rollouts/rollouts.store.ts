import { Injectable } from '@nestjs/common';
import { type EntityManager, In, LessThan } from 'typeorm';
import { RolloutEntity } from './rollout.entity';

@Injectable()
export class RolloutsStore {
  byIds(manager: EntityManager, ids: readonly string[]): Promise<RolloutEntity[]> {
    return ids.length === 0 ? Promise.resolve([]) : manager.findBy(RolloutEntity, { id: In([...ids]) });
  }

  byNumber(manager: EntityManager, app: string, number: number): Promise<RolloutEntity | null> {
    return manager.findOneBy(RolloutEntity, { app, number });
  }

  /** Newest first. */
  page(manager: EntityManager, app: string, below: number | undefined, take: number): Promise<RolloutEntity[]> {
    const where = { app, ...(below !== undefined && { number: LessThan(below) }) };
    return manager.find(RolloutEntity, { where, order: { number: 'DESC' }, take });
  }

  async insert(transaction: EntityManager, rollout: RolloutEntity): Promise<void> {
    await transaction.insert(RolloutEntity, rollout);
  }

  async save(transaction: EntityManager, { id, progress, endedAt }: RolloutEntity): Promise<void> {
    await transaction.update(RolloutEntity, { id }, { progress, endedAt });
  }

  async removeBelow(transaction: EntityManager, app: string, number: number): Promise<void> {
    await transaction.delete(RolloutEntity, { app, number: LessThan(number) });
  }

  async removeAllOf(transaction: EntityManager, app: string): Promise<void> {
    await transaction.delete(RolloutEntity, { app });
  }
}
