import { Injectable } from '@nestjs/common';
import { type EntityManager, LessThan } from 'typeorm';
import { EndedInstanceEntity } from './ended-instance.entity';

@Injectable()
export class EndedInstancesStore {
  find(manager: EntityManager, app: string, id: string): Promise<EndedInstanceEntity | null> {
    return manager.findOneBy(EndedInstanceEntity, { app, id });
  }

  async insert(transaction: EntityManager, instances: readonly EndedInstanceEntity[]): Promise<void> {
    if (instances.length > 0) await transaction.insert(EndedInstanceEntity, [...instances]);
  }

  async keepNewest(transaction: EntityManager, app: string, count: number): Promise<void> {
    await transaction.query(
      `DELETE FROM ended_instance WHERE id IN (
         SELECT id FROM ended_instance WHERE app = $1 ORDER BY ended_at DESC, id DESC OFFSET $2)`,
      [app, count],
    );
  }

  async removeBefore(transaction: EntityManager, moment: Date): Promise<void> {
    await transaction.delete(EndedInstanceEntity, { endedAt: LessThan(moment) });
  }

  async removeAllOf(transaction: EntityManager, app: string): Promise<void> {
    await transaction.delete(EndedInstanceEntity, { app });
  }
}
