/**
 * The folder in which this instance keeps blobs. Several instances on one machine may serve the same volume.
 * Its id lies in `volume.json` beside the blobs, so that a disk moved to another machine is still the same volume.
 */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { AltoError, idOf, newId } from '@alto/contracts';
import { BlobFiles } from '../blobs/blob-files';
import { isBrokenDisk } from '../blobs/disk-error';
import { fileErrorCode, type FileSystem } from '../blobs/filesystem';

const identitySchema = z.object({ format: z.literal(1), id: idOf('volume') });
const identityBytesMax = 4096;

export class Volume {
  private failure: string | undefined;
  private unregistered: string | undefined = 'its volume is not registered in the database yet';

  private constructor(
    readonly id: string,
    readonly files: BlobFiles,
  ) {}

  /** Opens the volume at `root`, making folder and identity at the first time. */
  static async open(files: FileSystem, root: string): Promise<Volume> {
    await makeTree(files, root);
    const path = join(root, 'volume.json');
    const id = (await readIdentity(files, path)) ?? (await makeIdentity(files, path));
    const blobs = new BlobFiles(files, root);
    await blobs.prepare();
    return new Volume(id, blobs);
  }

  /** Why nothing may be written, in words; undefined while all is well. */
  get notWritable(): string | undefined {
    return this.failure ?? this.unregistered;
  }

  /** The database knows this volume: blobs may be written, and unknown files be swept. */
  admit(): void {
    this.unregistered = undefined;
  }

  /** The database must not be used with this volume. */
  refuse(reason: string): void {
    this.unregistered = reason;
  }

  /**
   * Notes an error of the file system. After a failed write or fsync the kernel may have dropped what it held, and a
   * second fsync would succeed without it: so the volume takes nothing more until the service is started afresh.
   */
  note(error: unknown): void {
    if (isBrokenDisk(error)) this.failure ??= `the disk of volume ${this.id} failed with ${fileErrorCode(error)}`;
  }

  /** @throws AltoError `service_unavailable` when the disk has failed or the volume is not registered. */
  checkWritable(): void {
    if (this.notWritable === undefined) return;
    const nextStep =
      this.failure === undefined
        ? 'Try again in some seconds; /readyz of the storage service says what it waits for.'
        : "Check the machine's kernel log and disk, then restart the storage service.";
    throw new AltoError('service_unavailable', {
      message: `Nothing can be stored here: ${this.notWritable}.`,
      nextStep,
    });
  }
}

async function makeTree(files: FileSystem, path: string): Promise<void> {
  try {
    await files.makeDirectory(path);
  } catch (error) {
    const code = fileErrorCode(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    await makeTree(files, dirname(path));
    await files.makeDirectory(path);
  }
  await files.syncDirectory(dirname(path));
}

async function readIdentity(files: FileSystem, path: string): Promise<string | undefined> {
  try {
    const file = await files.openForRead(path);
    try {
      const text = Buffer.alloc(Math.min(await file.size(), identityBytesMax));
      await file.read(text, 0);
      return identitySchema.parse(JSON.parse(text.toString('utf8'))).id;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (fileErrorCode(error) === 'ENOENT') return undefined;
    throw new Error(`${path} is not readable as the identity of a volume; restore it from a backup of the disk`, {
      cause: error,
    });
  }
}

/** Whole before it has its name, and linked so that of two instances starting at once both take the first one's. */
async function makeIdentity(files: FileSystem, path: string): Promise<string> {
  const id = newId('volume');
  const draft = `${path}.${id}`;
  const file = await files.create(draft);
  await file.write(Buffer.from(`${JSON.stringify({ format: 1, id })}\n`), 0);
  await file.dataSync();
  await file.close();
  try {
    await files.link(draft, path);
  } catch (error) {
    if (fileErrorCode(error) !== 'EEXIST') throw error;
  }
  await files.remove(draft);
  await files.syncDirectory(dirname(path));
  const kept = await readIdentity(files, path);
  if (kept === undefined) throw new Error(`${path} vanished while it was being made`);
  return kept;
}
