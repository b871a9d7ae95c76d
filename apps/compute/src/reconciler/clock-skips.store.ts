import { Injectable } from '@nestjs/common';
import { type EntityManager, LessThan, MoreThan } from 'typeorm';
import type { ClockSkip } from '../placement/snapshot';
import { ClockSkipEntity } from './clock-skip.entity';

@Injectable()
export class ClockSkipsStore {
  async all(manager: EntityManager): Promise<ClockSkip[]> {
    const rows = await manager.find(ClockSkipEntity);
    return rows.map(({ fromAt, untilAt }) => ({ from: fromAt.getTime(), until: untilAt.getTime() }));
  }

  /** Once more is as once. */
  async insert(transaction: EntityManager, { from, until }: ClockSkip): Promise<void> {
    const row = { fromAt: new Date(from), untilAt: new Date(until) };
    await transaction.createQueryBuilder().insert().into(ClockSkipEntity).values(row).orIgnore().execute();
  }

  async removeBefore(transaction: EntityManager, moment: Date): Promise<void> {
    await transaction.delete(ClockSkipEntity, { untilAt: LessThan(moment) });
  }

  async removeAfter(transaction: EntityManager, moment: Date): Promise<void> {
    await transaction.delete(ClockSkipEntity, { untilAt: MoreThan(moment) });
  }
}
