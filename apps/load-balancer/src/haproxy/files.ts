/** Files that must be whole after any crash, and the one-writer rule of their folder. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Replaces the file: after a crash at any point it holds either the old or the new text. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  await syncFolder(dirname(path));
}

/** @returns undefined when there is no such file */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Another process writes this folder. */
export class AnotherWriterError extends Error {
  override readonly name = 'AnotherWriterError';
}

/**
 * The right to write a folder and to command its HAProxy. The lock is a lock of the kernel on a file of SQLite, so it
 * ends with the process that holds it, however that ends, and there is no stale lock to judge.
 */
export class WriterLock {
  private constructor(private readonly database: DatabaseSync) {}

  /** @throws AnotherWriterError while another process holds it */
  static async take(folder: string): Promise<WriterLock> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(join(folder, 'writer.lock'));
    try {
      database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
      return new WriterLock(database);
    } catch (error) {
      database.close();
      if (!String(error).includes('locked')) throw error;
      throw new AnotherWriterError(`Another load balancer writes ${folder}.`, { cause: error });
    }
  }

  release(): void {
    this.database.close();
  }
}
