/**
 * The file system as a port, so that tests can fail, record and crash every call. The methods are the primitives
 * whose order decides what survives a crash; nothing here retries or hides an error.
 */
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, rename, stat, statfs, unlink, type FileHandle } from 'node:fs/promises';

export interface OpenFile {
  /** Writes all of `data` at `position`. */
  write(data: Uint8Array, position: number): Promise<void>;
  /** Fills `into` from `position`; answers the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  /** fdatasync: content and size are on disk when it answers. The name of a new file is not: see `syncDirectory`. */
  dataSync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileFacts {
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** Nest token and contract; `NodeFileSystem` is the real one. */
export abstract class FileSystem {
  /** Makes a new file for writing. Fails with EEXIST when there is one. */
  abstract create(path: string): Promise<OpenFile>;
  abstract openForRead(path: string): Promise<OpenFile>;
  /** Makes one directory level. Fails with EEXIST when there is one. */
  abstract makeDirectory(path: string): Promise<void>;
  /** fsync of a directory: the names in it are on disk when it answers. */
  abstract syncDirectory(path: string): Promise<void>;
  abstract rename(from: string, to: string): Promise<void>;
  /** A second name for a file. Fails with EEXIST when the name is taken, so that of many only one wins. */
  abstract link(from: string, to: string): Promise<void>;
  abstract remove(path: string): Promise<void>;
  abstract list(path: string): Promise<string[]>;
  abstract facts(path: string): Promise<FileFacts>;
  abstract freeBytes(path: string): Promise<number>;
}

export class NodeFileSystem extends FileSystem {
  async create(path: string): Promise<OpenFile> {
    return new NodeOpenFile(await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600));
  }

  async openForRead(path: string): Promise<OpenFile> {
    return new NodeOpenFile(await open(path, constants.O_RDONLY));
  }

  async makeDirectory(path: string): Promise<void> {
    await mkdir(path, { mode: 0o700 });
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  rename(from: string, to: string): Promise<void> {
    return rename(from, to);
  }

  link(from: string, to: string): Promise<void> {
    return link(from, to);
  }

  remove(path: string): Promise<void> {
    return unlink(path);
  }

  list(path: string): Promise<string[]> {
    return readdir(path);
  }

  async facts(path: string): Promise<FileFacts> {
    const { size, mtimeMs } = await stat(path);
    return { sizeBytes: size, modifiedAtMs: mtimeMs };
  }

  async freeBytes(path: string): Promise<number> {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  }
}

class NodeOpenFile implements OpenFile {
  constructor(private readonly handle: FileHandle) {}

  async write(data: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < data.byteLength;) {
      const { bytesWritten } = await this.handle.write(data, done, data.byteLength - done, position + done);
      done += bytesWritten;
    }
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < into.byteLength) {
      const { bytesRead } = await this.handle.read(into, done, into.byteLength - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async size(): Promise<number> {
    return (await this.handle.stat()).size;
  }

  dataSync(): Promise<void> {
    return this.handle.datasync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

/** The `code` of a file system error, such as `ENOENT`; undefined for any other error. */
export function fileErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
