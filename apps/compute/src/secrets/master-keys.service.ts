/**
 * Rotation of master keys. A key that was added seals what is set from then on; in the background everything that older
 * ones have sealed is sealed anew, a batch at a time, by one instance of compute at a time, while apps run and secrets
 * are set. An older key can be taken away once nothing needs it.
 */
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import type { masterKeyOperations, OutputOf } from '@alto/contracts';
import {
  CONFIG,
  Database,
  type Lease,
  Leases,
  Log,
  type MasterKeys,
  openSecret,
  sealSecret,
  SealingError,
} from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { setTimeout as pause } from 'node:timers/promises';
import type { ComputeConfig } from '../config';
import { NodesService } from '../nodes/nodes.service';
import { rotationOf } from './rotation';
import { SecretKeys } from './secret-keys';
import { type SealedValue, SecretsStore, type ValueAddress } from './secrets.store';

/** Sealed anew in one transaction: few enough that nobody waits for them. */
const batchMax = 50;
const start: ValueAddress = { secret: '', version: 0 };

interface Batch {
  /** Where the next one goes on; undefined after the last one. */
  readonly last: ValueAddress | undefined;
  readonly count: number;
}

@Injectable()
export class MasterKeysService implements OnModuleInit {
  constructor(
    @Inject(CONFIG) private readonly config: ComputeConfig,
    private readonly database: Database,
    private readonly store: SecretsStore,
    private readonly keys: SecretKeys,
    private readonly nodes: NodesService,
    private readonly leases: Leases,
    private readonly log: Log,
  ) {}

  onModuleInit(): void {
    this.leases.hold('compute.secrets.reseal', (lease) => this.work(lease));
  }

  async list(): Promise<OutputOf<typeof masterKeyOperations.list>> {
    const { manager } = this.database;
    const { ids } = this.keys.current();
    return { items: rotationOf(ids, await this.nodes.keyHolders(manager), await this.store.valuesByKey(manager)) };
  }

  private async work(lease: Lease): Promise<void> {
    const { signal } = lease;
    while (!signal.aborted) {
      if (this.keys.present) await this.sweep(lease);
      await pause(this.config.ALTO_RESEAL_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Everything once. What cannot be opened is left as it is and counted as missing its key. */
  private async sweep(lease: Lease): Promise<void> {
    let after: ValueAddress | undefined = start;
    let count = 0;
    while (after !== undefined && !lease.signal.aborted) {
      const batch = await this.nextBatch(lease, after);
      after = batch.last;
      count += batch.count;
    }
    if (count > 0) this.log.info('Secrets have been sealed with the newest master key', { count });
  }

  private nextBatch(lease: Lease, after: ValueAddress): Promise<Batch> {
    return lease.transaction((transaction) => this.resealBatch(transaction, after));
  }

  private async resealBatch(transaction: EntityManager, after: ValueAddress): Promise<Batch> {
    const keys = await this.keys.sealing(transaction);
    const older = keys.ids.filter((id) => id !== keys.newest);
    const rows = older.length === 0 ? [] : await this.store.lockSealedBy(transaction, older, after, batchMax);
    let count = 0;
    for (const row of rows) {
      const sealed = resealed(keys, row);
      if (sealed === null) continue;
      await this.store.reseal(transaction, row, sealed);
      count += 1;
    }
    return { last: rows.length < batchMax ? undefined : rows.at(-1), count };
  }
}

/** Null for what does not open; it was tampered with, and its reader says so. */
function resealed(keys: MasterKeys, { sealed, project, name, version }: SealedValue): string | null {
  const place = { project, name, version };
  try {
    return sealSecret(keys, openSecret(keys, sealed, place), place);
  } catch (error) {
    if (error instanceof SealingError) return null;
    throw error;
  }
}
