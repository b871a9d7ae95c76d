import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AltoError, newId } from '@alto/contracts';
import { Clock, CONFIG, Log } from '@alto/platform';
import type { StorageConfig } from '../config';
import { Volume } from '../volumes/volume';
import { BlobDraft } from './blob-draft';
import type { BlobReader } from './blob-reader';
import { BlobsStore } from './blobs.store';
import { diskError, noSpace } from './disk-error';

@Injectable()
export class BlobsService {
  constructor(
    @Inject(CONFIG) private readonly config: StorageConfig,
    private readonly volume: Volume,
    private readonly store: BlobsStore,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Starts a blob: first the row that says so, then the file. @param expectedBytes 0 when not known */
  async begin(project: string, expectedBytes: number): Promise<BlobDraft> {
    this.volume.checkWritable();
    await this.checkSpace(expectedBytes);
    const { files } = this.volume;
    const leaseMs = this.config.ALTO_STORAGE_INTENT_LEASE_MS;
    const createdAt = this.clock.now();
    const id = newId('blob', createdAt.getTime());
    const leaseExpiresAt = new Date(createdAt.getTime() + leaseMs);
    await this.store.insertIntent({ id, project, volume: this.volume.id, leaseExpiresAt, createdAt });
    const writer = await files.create(id).catch((error: unknown) => {
      throw this.failure(error);
    });
    const { store, clock, log } = this;
    return new BlobDraft({ id, project, writer, store, clock, log, leaseMs, removeFile: () => files.remove(id) });
  }

  /** @throws AltoError `corrupt_data` when no row tells where the blob is */
  async volumeOf(blob: string): Promise<string> {
    const volume = await this.store.volumeOf(blob);
    if (volume === undefined) throw new AltoError('corrupt_data', `Nothing is recorded about ${blob}.`);
    return volume;
  }

  async isHere(blob: string): Promise<boolean> {
    return (await this.volumeOf(blob)) === this.volume.id;
  }

  /** Opens a blob of this instance's volume for verified reading. */
  async open(blob: string): Promise<BlobReader> {
    try {
      return await this.volume.files.open(blob);
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** Every byte of the blob is right, as far as can be told from here: the blobs of other volumes are taken on trust. */
  async isWhole(blob: string): Promise<boolean> {
    if (!(await this.isHere(blob))) return true;
    try {
      const reader = await this.open(blob);
      for await (const block of reader.blocks()) void block;
      return true;
    } catch (error) {
      if (error instanceof AltoError && error.code === 'corrupt_data') return false;
      throw error;
    }
  }

  /** The blob is referred to no longer; the sweeper removes it. */
  replace(tx: EntityManager, blob: string): Promise<void> {
    return this.store.replace(tx, blob);
  }

  /** What an error on the way to or from the disk means to the caller; remembers a broken disk. */
  failure(error: unknown): unknown {
    this.volume.note(error);
    return diskError(error);
  }

  private async checkSpace(expectedBytes: number): Promise<void> {
    const freeBytes = await this.volume.files.freeBytes();
    if (freeBytes - expectedBytes < this.config.ALTO_STORAGE_FREE_BYTES_MIN) throw noSpace();
  }
}
