/** Reads a tar.gz as it streams by and checks each entry; keeps none of its content. */
import { createGunzip, type Gunzip } from 'node:zlib';
import { extract, type Extract, type Header } from 'tar-stream';
import { AltoError } from '@alto/contracts';
import { ArchiveCheck, type ArchiveLimits } from './archive-entry';

const gzipMagic = Buffer.from([0x1f, 0x8b]);

export class ArchiveInspection {
  private readonly gunzip: Gunzip = createGunzip();
  private readonly tar: Extract = extract();
  private readonly check: ArchiveCheck;
  private readonly settled = Promise.withResolvers<void>();
  private failure: AltoError | undefined;
  private head: Uint8Array = Buffer.alloc(0);
  private entries = 0;

  constructor(limits: ArchiveLimits) {
    this.check = new ArchiveCheck(limits);
    this.tar.on('entry', (headers, content, next) => {
      try {
        this.accept(headers);
        content.on('end', next).resume();
      } catch (error) {
        this.fail(error);
      }
    });
    this.tar.on('finish', () => this.settled.resolve()).on('error', (error) => this.fail(error));
    this.gunzip.on('error', (error) => this.fail(error));
    this.gunzip.pipe(this.tar);
  }

  /** Takes the next bytes and waits until they are inspected, so none come after a fault. @throws AltoError at the first fault. */
  async write(chunk: Uint8Array): Promise<void> {
    this.checkMagic(chunk);
    this.throwFailure();
    const { promise: inflated, resolve } = Promise.withResolvers<void>();
    this.gunzip.write(chunk, () => resolve());
    await Promise.race([inflated, this.settled.promise]);
    this.throwFailure();
  }

  /** Ends the archive. @throws AltoError when it is cut short or holds nothing. */
  async finish(): Promise<void> {
    if (this.head.length < gzipMagic.length) throw notAnArchive();
    this.gunzip.end();
    await this.settled.promise;
    this.throwFailure();
    if (this.entries === 0) throw unreadable('it holds no files');
  }

  /** Frees what the inspection holds; needed when it is not finished. */
  destroy(): void {
    this.gunzip.destroy();
    this.tar.destroy();
  }

  private accept({ name, type, size, linkname }: Header): void {
    this.entries += 1;
    this.check.accept({ name, type: type ?? 'unknown', sizeBytes: size ?? 0, linkTarget: linkname ?? undefined });
  }

  private checkMagic(chunk: Uint8Array): void {
    if (this.head.length >= gzipMagic.length) return;
    this.head = Buffer.concat([this.head, chunk.subarray(0, gzipMagic.length - this.head.length)]);
    if (!gzipMagic.subarray(0, this.head.length).equals(this.head)) throw notAnArchive();
  }

  private fail(error: unknown): void {
    this.failure ??= error instanceof AltoError ? error : unreadable((error as Error).message);
    this.settled.resolve();
    this.destroy();
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

function notAnArchive(): AltoError {
  return new AltoError('unsupported_media_type', {
    message: 'The body is no gzip file.',
    field: 'body',
    nextStep: 'Send a tar archive compressed with gzip, as tar -czf makes it.',
  });
}

function unreadable(why: string): AltoError {
  return new AltoError('unprocessable', { message: `The archive cannot be read: ${why}.`, field: 'body' });
}
