/**
 * What follows a blob's content in its file, so that a file alone tells what it is and whether it is whole:
 *
 *     content | facts (JSON, UTF-8) | CRC32C of each MiB of content (u32 each) | footer (32 bytes)
 *
 * footer: magic "ALTOBLB1", content bytes (u64), facts bytes (u32), number of checksums (u32), reserved (u32),
 * CRC32C of everything after the content before this field (u32). Numbers are big-endian.
 */
import { crc32c } from '@node-rs/crc32';
import { AltoError } from '@alto/contracts';

/** Content is checked, and read, in blocks of this size. */
export const blockBytes = 1024 * 1024;

export const footerBytes = 32;
const magic = Buffer.from('ALTOBLB1', 'latin1');
const factsBytesMax = 64 * 1024;

/** What the metadata database knows too: enough to rebuild its rows from the files. */
export interface BlobFacts {
  readonly blob: string;
  readonly project: string;
  /** Lower-case hex of the whole content. */
  readonly sha256: string;
  /** RFC 3339. */
  readonly createdAt: string;
}

export interface Trailer {
  readonly contentBytes: number;
  /** CRC32C of block 0, 1, …; the last block may be shorter than `blockBytes`. */
  readonly checksums: readonly number[];
  readonly facts: BlobFacts;
}

export interface Footer {
  readonly contentBytes: number;
  readonly trailerBytes: number;
}

export function encodeTrailer({ contentBytes, checksums, facts }: Trailer): Buffer {
  const factsJson = Buffer.from(JSON.stringify(facts), 'utf8');
  const trailer = Buffer.alloc(factsJson.length + checksums.length * 4 + footerBytes);
  factsJson.copy(trailer);
  checksums.forEach((checksum, block) => trailer.writeUInt32BE(checksum, factsJson.length + block * 4));
  const footer = trailer.subarray(-footerBytes);
  magic.copy(footer);
  footer.writeBigUInt64BE(BigInt(contentBytes), 8);
  footer.writeUInt32BE(factsJson.length, 16);
  footer.writeUInt32BE(checksums.length, 20);
  footer.writeUInt32BE(crc32c(trailer.subarray(0, -4)), 28);
  return trailer;
}

/** Reads the last `footerBytes` of a file. @throws AltoError `corrupt_data` unless the sizes in it add up. */
export function decodeFooter(footer: Buffer, fileBytes: number): Footer {
  if (footer.length !== footerBytes || !footer.subarray(0, 8).equals(magic)) throw corrupt('it has no trailer');
  const contentBytes = Number(footer.readBigUInt64BE(8));
  const factsBytes = footer.readUInt32BE(16);
  const blocks = footer.readUInt32BE(20);
  const trailerBytes = factsBytes + blocks * 4 + footerBytes;
  if (factsBytes > factsBytesMax || blocks !== blocksOf(contentBytes) || contentBytes + trailerBytes !== fileBytes) {
    throw corrupt('its size does not match its trailer');
  }
  return { contentBytes, trailerBytes };
}

/** Reads a whole trailer, footer included. @throws AltoError `corrupt_data` unless its checksum is right. */
export function decodeTrailer(trailer: Buffer): Trailer {
  const footer = trailer.subarray(-footerBytes);
  if (crc32c(trailer.subarray(0, -4)) !== footer.readUInt32BE(28))
    throw corrupt('the checksum of its trailer is wrong');
  const contentBytes = Number(footer.readBigUInt64BE(8));
  const factsBytes = footer.readUInt32BE(16);
  const checksums = Array.from({ length: footer.readUInt32BE(20) }, (_, block) =>
    trailer.readUInt32BE(factsBytes + block * 4),
  );
  const facts = JSON.parse(trailer.toString('utf8', 0, factsBytes)) as BlobFacts;
  return { contentBytes, checksums, facts };
}

export function blocksOf(contentBytes: number): number {
  return Math.ceil(contentBytes / blockBytes);
}

function corrupt(what: string): AltoError {
  return new AltoError('corrupt_data', `The stored file failed its check: ${what}.`);
}
