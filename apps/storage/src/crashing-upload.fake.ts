/**
 * A process that uploads bundles and ends itself by SIGKILL at a given step: before the n-th call of the file system
 * or the database, or right after a transaction was committed. Run by crash.int.spec.ts.
 */
import 'reflect-metadata';
import { readFileSync, writeSync } from 'node:fs';
import type { Database } from '@alto/platform';
import { NodeFileSystem } from './blobs/filesystem';
import { ObservedFileSystem } from './blobs/observed-filesystem.fake';
import { connectDatabase, inChunks, openStorage, unlimited } from './storage.fake';

export interface CrashingUpload {
  readonly databaseUrl: string;
  readonly stateDirectory: string;
  readonly project: string;
  /** Paths of the archives to upload, one after the other. */
  readonly archives: readonly string[];
  readonly dieAtStep: number;
}

const job = JSON.parse(process.argv[2]!) as CrashingUpload;
let steps = 0;

function step(): void {
  steps += 1;
  if (steps === job.dieAtStep) process.kill(process.pid, 'SIGKILL');
}

function stepping(database: Database): Database {
  return new Proxy(database, {
    get(target, key) {
      if (key === 'manager') step();
      if (key !== 'transaction') return Reflect.get(target, key, target) as unknown;
      return async (body: Parameters<Database['transaction']>[0]) => {
        step();
        const result = await target.transaction(body);
        step();
        return result;
      };
    },
  });
}

const database = await connectDatabase(job.databaseUrl);
const { bundles } = await openStorage({
  database: stepping(database),
  stateDirectory: job.stateDirectory,
  files: new ObservedFileSystem(new NodeFileSystem(), step),
});
for (const path of job.archives) {
  const archive = readFileSync(path);
  const body = { chunks: inChunks(archive), expectedBytes: archive.length };
  const bundle = await bundles.upload(job.project, undefined, body, unlimited);
  writeSync(1, `${JSON.stringify(bundle)}\n`);
}
await database.stop();
