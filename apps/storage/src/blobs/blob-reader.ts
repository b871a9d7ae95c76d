/** Reads a blob and lets no byte out that was not checked first. */
import { crc32c } from '@node-rs/crc32';
import { AltoError } from '@alto/contracts';
import type { OpenFile } from './filesystem';
import { blockBytes, decodeFooter, decodeTrailer, footerBytes, type Trailer } from './trailer';

export class BlobReader {
  private constructor(
    private readonly file: OpenFile,
    private readonly trailer: Trailer,
  ) {}

  /** Takes the file over and closes it on failure. @throws AltoError `corrupt_data` when it is not blob `blob`, whole. */
  static async open(file: OpenFile, blob: string): Promise<BlobReader> {
    try {
      const trailer = await readTrailer(file);
      if (trailer.facts.blob !== blob) {
        throw new AltoError('corrupt_data', `The file of ${blob} holds ${trailer.facts.blob}.`);
      }
      return new BlobReader(file, trailer);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get contentBytes(): number {
    return this.trailer.contentBytes;
  }

  get facts(): Trailer['facts'] {
    return this.trailer.facts;
  }

  /**
   * The content, a checked block at a time, only as fast as it is taken. Closes the file at the end.
   * @throws AltoError `corrupt_data` at the first block whose checksum is wrong: the consumer must then break off.
   */
  async *blocks(): AsyncGenerator<Buffer> {
    try {
      for (const [index, checksum] of this.trailer.checksums.entries()) {
        const start = index * blockBytes;
        const block = Buffer.allocUnsafe(Math.min(blockBytes, this.contentBytes - start));
        const bytesRead = await this.file.read(block, start);
        if (bytesRead !== block.length || crc32c(block) !== checksum) {
          throw new AltoError('corrupt_data', `Block ${index} of ${this.facts.blob} failed its checksum.`);
        }
        yield block;
      }
    } finally {
      await this.file.close();
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

async function readTrailer(file: OpenFile): Promise<Trailer> {
  const fileBytes = await file.size();
  const footer = Buffer.alloc(Math.min(footerBytes, fileBytes));
  await file.read(footer, fileBytes - footer.length);
  const { contentBytes, trailerBytes } = decodeFooter(footer, fileBytes);
  const trailer = Buffer.alloc(trailerBytes);
  await file.read(trailer, contentBytes);
  return decodeTrailer(trailer);
}
