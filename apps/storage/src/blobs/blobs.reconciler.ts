/**
 * Removes what no one refers to: uploads that died, replaced blobs, and files that the database does not know. One
 * instance at a time does it for each volume, under a lease. It removes a file only when its row says `condemned`;
 * a file without a row is only set aside, and removed a long time later.
 */
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { Clock, CONFIG, Leases, Log, type Lease } from '@alto/platform';
import type { StorageConfig } from '../config';
import { Volume } from '../volumes/volume';
import { BlobsStore } from './blobs.store';

/** Names that are looked up in the database at once. */
const lookUpMax = 500;

@Injectable()
export class BlobsReconciler implements OnModuleInit {
  private scannedAtMs = 0;

  constructor(
    @Inject(CONFIG) private readonly config: StorageConfig,
    private readonly volume: Volume,
    private readonly store: BlobsStore,
    private readonly leases: Leases,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  onModuleInit(): void {
    this.leases.hold(`storage.sweeper.${this.volume.id}`, (lease) => this.run(lease));
  }

  private async run(lease: Lease): Promise<void> {
    while (!lease.signal.aborted) {
      if (this.volume.notWritable === undefined) await this.sweepAndReport(lease);
      await delay(this.config.ALTO_STORAGE_SWEEP_EVERY_MS, undefined, { signal: lease.signal }).catch(() => undefined);
    }
  }

  private async sweepAndReport(lease: Lease): Promise<void> {
    try {
      await this.sweep(lease);
    } catch (error) {
      if (lease.signal.aborted) return;
      this.volume.note(error);
      this.log.warn('A sweep broke off; the next one goes on', { error });
    }
  }

  /** One pass. Public for tests. */
  async sweep(lease: Lease): Promise<void> {
    const now = this.clock.now();
    while ((await lease.transaction((tx) => this.store.condemnExpired(tx, this.volume.id, now))) > 0);
    await this.removeCondemned(lease);
    if (now.getTime() - this.scannedAtMs < this.config.ALTO_STORAGE_ORPHAN_SCAN_EVERY_MS) return;
    await this.setOrphansAside(lease);
    await this.removeStaleDrafts(lease);
    await this.emptyQuarantine(lease);
    this.scannedAtMs = now.getTime();
  }

  private async removeCondemned(lease: Lease): Promise<void> {
    for (;;) {
      const condemned = await this.store.condemned(this.volume.id);
      if (condemned.length === 0) return;
      for (const blob of condemned) {
        lease.signal.throwIfAborted();
        await this.volume.files.remove(blob);
      }
      await lease.transaction((tx) => this.store.forget(tx, condemned));
      this.log.info('Removed dead blobs', { count: condemned.length });
    }
  }

  private async setOrphansAside(lease: Lease): Promise<void> {
    for await (const names of this.oldNames('blobs', this.config.ALTO_STORAGE_ORPHAN_AGE_MS)) {
      lease.signal.throwIfAborted();
      const known = await this.store.statesOf(names);
      for (const blob of names.filter((name) => !known.has(name))) {
        await this.volume.files.quarantine(blob, this.clock.nowMs());
        this.log.warn('Set a file aside that the database does not know', { blob });
      }
    }
  }

  /** Temporary files whose upload is over; those of condemned rows went with their rows. */
  private async removeStaleDrafts(lease: Lease): Promise<void> {
    for await (const names of this.oldNames('tmp', this.config.ALTO_STORAGE_ORPHAN_AGE_MS)) {
      lease.signal.throwIfAborted();
      const states = await this.store.statesOf(names);
      for (const name of names.filter((draft) => states.get(draft) !== 'intent')) {
        await this.volume.files.removeFrom('tmp', name);
      }
    }
  }

  /** The name says when a file was set aside: its own time is that of its content. */
  private async emptyQuarantine(lease: Lease): Promise<void> {
    const before = this.clock.nowMs() - this.config.ALTO_STORAGE_QUARANTINE_MS;
    for await (const { name } of this.volume.files.list('quarantine')) {
      lease.signal.throwIfAborted();
      if (Number(name.split('.').at(-1)) < before) await this.volume.files.removeFrom('quarantine', name);
    }
  }

  private async *oldNames(area: 'blobs' | 'tmp', ageMs: number): AsyncGenerator<string[]> {
    const before = this.clock.nowMs() - ageMs;
    let names: string[] = [];
    for await (const { name, facts } of this.volume.files.list(area)) {
      if (facts.modifiedAtMs < before) names.push(name);
      if (names.length < lookUpMax) continue;
      yield names;
      names = [];
    }
    if (names.length > 0) yield names;
  }
}
