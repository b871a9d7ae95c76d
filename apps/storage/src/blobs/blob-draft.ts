/** A blob being written: its intent row, kept alive, and its file. Ends by `commit` or `giveUp`. */
import type { EntityManager } from 'typeorm';
import { AltoError } from '@alto/contracts';
import type { Clock, Log } from '@alto/platform';
import type { BlobWriter, WrittenContent } from './blob-files';
import type { BlobsStore } from './blobs.store';

export interface DraftParts {
  readonly id: string;
  readonly project: string;
  readonly writer: BlobWriter;
  readonly store: BlobsStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
  /** Removes the blob's file, wherever it is. */
  readonly removeFile: () => Promise<void>;
}

export class BlobDraft {
  private readonly renewal: NodeJS.Timeout;
  private content: WrittenContent | undefined;
  private lost = false;

  constructor(private readonly parts: DraftParts) {
    this.renewal = setInterval(() => void this.renew(), parts.leaseMs / 3);
    this.renewal.unref();
  }

  get id(): string {
    return this.parts.id;
  }

  get contentBytes(): number {
    return this.parts.writer.contentBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.lost) throw new AltoError('service_unavailable', 'The upload stalled and was given up; send it again.');
    await this.parts.writer.write(chunk);
  }

  async finish(): Promise<WrittenContent> {
    this.content = await this.parts.writer.finish();
    return this.content;
  }

  /** Makes the file durable. It is not live yet: `commit` makes it so. */
  async publish(): Promise<void> {
    const { id, project, clock, writer } = this.parts;
    await writer.publish({ blob: id, project, createdAt: clock.now().toISOString() });
  }

  /** Makes the blob live, as part of the transaction that refers to it. */
  async commit(tx: EntityManager): Promise<void> {
    if (this.content === undefined) throw new Error('finish and publish the blob before committing it');
    await this.parts.store.commit(tx, this.id, this.content);
  }

  /** Call when nothing more will be done with the draft. */
  end(): void {
    clearInterval(this.renewal);
  }

  /**
   * Gives the draft up and removes its file, unless the row turns out to be live: the answer to a commit can be lost
   * after the commit was made. The row's lock decides, so a commit still under way is waited for. What cannot be
   * reached now is left to the sweeper.
   * @returns whether the blob is live
   */
  async giveUp(): Promise<boolean> {
    this.end();
    const { id, store, log, writer, removeFile } = this.parts;
    try {
      await writer.discard();
      const state = await store.giveUp(id);
      if (state === 'live') return true;
      await removeFile();
    } catch (error) {
      log.warn('A given up upload could not be cleaned up; the sweeper will do it', { blob: id, error });
    }
    return false;
  }

  private async renew(): Promise<void> {
    const { id, store, clock, log, leaseMs } = this.parts;
    try {
      const expiresAt = new Date(clock.nowMs() + leaseMs);
      this.lost = !(await store.renewIntent(id, expiresAt));
    } catch (error) {
      log.warn('The intent of an upload could not be renewed; trying again', { blob: id, error });
    }
  }
}
