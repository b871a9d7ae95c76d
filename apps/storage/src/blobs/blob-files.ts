/**
 * The bytes of blobs on one volume. A blob is one immutable file `blobs/xx/yy/<id>`, written under `tmp/` first:
 *
 *     create tmp → write blocks → write trailer → fdatasync → rename → fsync of the directory
 *
 * Only when `publish` has answered may anyone be told that the blob is kept. What these files mean is known by the
 * database alone: nothing here decides that a blob may go.
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { AltoError } from '@alto/contracts';
import { BlobReader } from './blob-reader';
import { fileErrorCode, type FileFacts, type FileSystem, type OpenFile } from './filesystem';
import { blockBytes, encodeTrailer, type BlobFacts } from './trailer';

export interface WrittenContent {
  readonly contentBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

export type Area = 'blobs' | 'tmp' | 'quarantine';

export class BlobFiles {
  /** Directories whose own name this process knows to be on disk. */
  private readonly durableDirectories = new Set<string>();

  /** @param root folder of the volume; it exists. */
  constructor(
    private readonly files: FileSystem,
    readonly root: string,
  ) {}

  /** Makes the folders of a volume, durably. Safe to call again. */
  async prepare(): Promise<void> {
    for (const area of ['blobs', 'tmp', 'quarantine'] as const) await this.ensureDirectory(join(this.root, area));
  }

  /** Starts a new blob. @throws an EEXIST error when one of that id is being written. */
  async create(blob: string): Promise<BlobWriter> {
    const path = this.temporaryPath(blob);
    return new BlobWriter(await this.files.create(path), {
      publish: () => this.publish(blob),
      discard: () => this.removeIfThere(path),
    });
  }

  /** Opens a blob for verified reading. @throws AltoError `corrupt_data` when its file is missing or not whole. */
  async open(blob: string): Promise<BlobReader> {
    try {
      return await BlobReader.open(await this.files.openForRead(this.path(blob)), blob);
    } catch (error) {
      if (fileErrorCode(error) !== 'ENOENT') throw error;
      throw new AltoError('corrupt_data', `The file of ${blob} is missing.`, { cause: error });
    }
  }

  /** Removes whatever there is of a blob, published or not. Doing it again does nothing. */
  async remove(blob: string): Promise<void> {
    await this.removeIfThere(this.temporaryPath(blob));
    await this.removeIfThere(this.path(blob));
  }

  /** Takes a published file out of the way without losing it. */
  async quarantine(blob: string, atMs: number): Promise<void> {
    await this.files.rename(this.path(blob), join(this.root, 'quarantine', `${blob}.${atMs}`));
  }

  async removeFrom(area: 'tmp' | 'quarantine', name: string): Promise<void> {
    await this.removeIfThere(join(this.root, area, name));
  }

  /** Names in one area, a folder at a time so that memory stays bounded. */
  async *list(area: Area): AsyncGenerator<{ name: string; facts: FileFacts }> {
    for await (const folder of this.foldersOf(area)) {
      for (const name of await this.files.list(folder)) {
        const facts = await this.factsIfThere(join(folder, name));
        if (facts !== undefined) yield { name, facts };
      }
    }
  }

  /** Bytes a writer without privileges could still use. */
  freeBytes(): Promise<number> {
    return this.files.freeBytes(this.root);
  }

  path(blob: string): string {
    const digest = createHash('sha256').update(blob).digest('hex');
    return join(this.root, 'blobs', digest.slice(0, 2), digest.slice(2, 4), blob);
  }

  private temporaryPath(blob: string): string {
    return join(this.root, 'tmp', blob);
  }

  private async publish(blob: string): Promise<void> {
    const path = this.path(blob);
    const directory = dirname(path);
    await this.ensureDirectory(dirname(directory));
    await this.ensureDirectory(directory);
    await this.files.rename(this.temporaryPath(blob), path);
    await this.files.syncDirectory(directory);
  }

  /**
   * The name of a directory lives in its parent: another process may have made it a moment ago without having synced
   * it yet, so finding it there proves nothing, and the parent is synced once by every process.
   */
  private async ensureDirectory(path: string): Promise<void> {
    if (this.durableDirectories.has(path)) return;
    try {
      await this.files.makeDirectory(path);
    } catch (error) {
      if (fileErrorCode(error) !== 'EEXIST') throw error;
    }
    await this.files.syncDirectory(dirname(path));
    this.durableDirectories.add(path);
  }

  private async *foldersOf(area: Area): AsyncGenerator<string> {
    const top = join(this.root, area);
    if (area !== 'blobs') return yield top;
    for (const first of await this.files.list(top)) {
      for (const second of await this.files.list(join(top, first))) yield join(top, first, second);
    }
  }

  private async factsIfThere(path: string): Promise<FileFacts | undefined> {
    try {
      return await this.files.facts(path);
    } catch (error) {
      if (fileErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  private async removeIfThere(path: string): Promise<void> {
    try {
      await this.files.remove(path);
    } catch (error) {
      if (fileErrorCode(error) !== 'ENOENT') throw error;
    }
  }
}

/** Writes one blob: `write` until the content ends, `finish`, then `publish` or `discard`. */
export class BlobWriter {
  private readonly sha256 = createHash('sha256');
  private readonly checksums: number[] = [];
  private block = Buffer.allocUnsafe(blockBytes);
  private blockFill = 0;
  private position = 0;
  private content: WrittenContent | undefined;
  private closed = false;

  constructor(
    private readonly file: OpenFile,
    private readonly blob: { publish(): Promise<void>; discard(): Promise<void> },
  ) {}

  /** Bytes taken so far. */
  get contentBytes(): number {
    return this.position + this.blockFill;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let taken = 0; taken < chunk.byteLength;) {
      const part = chunk.subarray(taken, taken + blockBytes - this.blockFill);
      this.block.set(part, this.blockFill);
      this.blockFill += part.byteLength;
      taken += part.byteLength;
      if (this.blockFill === blockBytes) await this.flushBlock();
    }
  }

  /** Ends the content. Nothing is durable yet. */
  async finish(): Promise<WrittenContent> {
    if (this.blockFill > 0) await this.flushBlock();
    this.content = { contentBytes: this.position, sha256: this.sha256.digest('hex') };
    return this.content;
  }

  /** Makes the blob durable under its final name: when this answers, no crash can lose it. */
  async publish(facts: Omit<BlobFacts, 'sha256'>): Promise<void> {
    if (this.content === undefined) throw new Error('finish the content before publishing it');
    const { contentBytes, sha256 } = this.content;
    const trailer = encodeTrailer({ contentBytes, checksums: this.checksums, facts: { ...facts, sha256 } });
    await this.file.write(trailer, this.position);
    await this.file.dataSync();
    await this.close();
    await this.blob.publish();
  }

  /** Gives the blob up and removes its temporary file. */
  async discard(): Promise<void> {
    await this.close();
    await this.blob.discard();
  }

  private async flushBlock(): Promise<void> {
    const block = this.block.subarray(0, this.blockFill);
    this.sha256.update(block);
    this.checksums.push(crc32c(block));
    await this.file.write(block, this.position);
    this.position += this.blockFill;
    this.blockFill = 0;
  }

  private async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.file.close();
  }
}
