import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AnotherWriterError } from '../proxy/proxy.engine';

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
