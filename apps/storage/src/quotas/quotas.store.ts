import { Injectable } from '@nestjs/common';
import { Database } from '@alto/platform';
import type { EntityManager } from 'typeorm';

@Injectable()
export class QuotasStore {
  constructor(private readonly db: Database) {}

  /** Of all bundles: their contents are stored once for each project. */
  async countBytes(project: string, tx: EntityManager = this.db.manager): Promise<number> {
    const found = await tx.query<{ bytes: string }[]>(
      'SELECT coalesce(sum(size_bytes), 0) AS bytes FROM bundles WHERE project = $1',
      [project],
    );
    return Number(found[0]?.bytes ?? 0);
  }
}
