import { Injectable } from '@nestjs/common';
import { Database } from '@alto/platform';
import type { EntityManager } from 'typeorm';

@Injectable()
export class QuotasStore {
  constructor(private readonly db: Database) {}

  /** Sequences have no gaps and messages stay, so the topics' last ones tell how many messages there are. */
  async countMessages(project: string, tx: EntityManager = this.db.manager): Promise<number> {
    const found = await tx.query<{ messages: string }[]>(
      'SELECT coalesce(sum(last_sequence), 0) AS messages FROM topics WHERE project = $1',
      [project],
    );
    return Number(found[0]?.messages ?? 0);
  }
}
