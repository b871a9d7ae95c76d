/**
 * What uploads promise when the process dies (SIGKILL) at any step: what was acknowledged is there, whole; what was
 * not is there, whole, or leaves nothing. What a power failure adds is in blobs/blob-files.spec.ts.
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bundle, newId } from '@alto/contracts';
import { createLog, type Database, FakeClock, type Lease } from '@alto/platform';
import { createDatabase, type TestDatabase } from '@alto/testing';
import { BlobEntity } from './blobs/blob.entity';
import { BlobsReconciler } from './blobs/blobs.reconciler';
import { archiveOfSize } from './bundles/archive.fake';
import { BundleEntity } from './bundles/bundle.entity';
import type { CrashingUpload } from './crashing-upload.fake';
import { connectDatabase, inChunks, openStorage, type StorageParts, unlimited } from './storage.fake';
import { storageService } from './storage.module';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = join(root, 'node_modules', '.cache', 'alto', `crashing-upload-${process.pid}.mjs`);
const atOnce = 4;
const dayMs = 24 * 3_600_000;

let testDatabase: TestDatabase;
let database: Database;
let folder: string;

beforeAll(async () => {
  testDatabase = await createDatabase({ name: 'storage', ...storageService.database! });
  database = await connectDatabase(testDatabase.url);
  folder = mkdtempSync(join(tmpdir(), 'alto-storage-crash-'));
  mkdirSync(join(program, '..'), { recursive: true });
  const entry = fileURLToPath(new URL('crashing-upload.fake.ts', import.meta.url));
  const options = ['--bundle', '--platform=node', '--format=esm', '--packages=external', `--outfile=${program}`];
  const built = spawnSync(join(root, 'node_modules', '.bin', 'esbuild'), [entry, ...options], { encoding: 'utf8' });
  expect({ status: built.status, errors: built.stderr }).toMatchObject({ status: 0 });
});

afterAll(async () => {
  await database?.stop();
  await testDatabase?.drop();
  rmSync(folder, { recursive: true, force: true });
  rmSync(program, { force: true });
});

interface Outcome {
  readonly crashed: boolean;
  readonly acknowledged: readonly Bundle[];
}

function run(upload: CrashingUpload): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [program, JSON.stringify(upload)], (error, stdout, stderr) => {
      const crashed = error?.signal === 'SIGKILL';
      if (error !== null && !crashed) return reject(new Error(`The upload failed on its own: ${stderr}`));
      const acknowledged = stdout.split('\n').filter((line) => line !== '');
      resolve({ crashed, acknowledged: acknowledged.map((line) => JSON.parse(line) as Bundle) });
    });
  });
}

/** What the service does when it comes back, two days later. */
async function comeBack(stateDirectory: string): Promise<StorageParts> {
  const clock = new FakeClock(Date.now() + 2 * dayMs);
  const parts = await openStorage({ database, stateDirectory, clock });
  const log = createLog({ level: 'silent', service: 'storage', instance: 'test', version: '0' });
  const reconciler = new BlobsReconciler(parts.config, parts.volume, parts.store, undefined as never, clock, log);
  const lease: Lease = {
    name: 'sweeper',
    token: 1,
    signal: new AbortController().signal,
    transaction: (body) => database.transaction(body),
  };
  await reconciler.sweep(lease);
  return parts;
}

async function contentOf({ blobs }: StorageParts, blob: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const block of (await blobs.open(blob)).blocks()) hash.update(block);
  return hash.digest('hex');
}

function filesIn(stateDirectory: string, area: string): string[] {
  const top = join(stateDirectory, 'volume', area);
  return readdirSync(top, { recursive: true })
    .map(String)
    .filter((name) => statSync(join(top, name)).isFile())
    .map((name) => name.split('/').at(-1)!);
}

async function checkSound(stateDirectory: string, project: string, acknowledged: readonly Bundle[]): Promise<void> {
  const parts = await comeBack(stateDirectory);
  const rows = await database.manager.findBy(BundleEntity, { project });
  for (const { blob, sha256 } of rows) expect(await contentOf(parts, blob)).toBe(sha256);
  expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(acknowledged.map(({ id }) => id)));
  const blobs = await database.manager.findBy(BlobEntity, { volume: parts.volume.id });
  expect(blobs.filter(({ state }) => state !== 'live')).toEqual([]);
  expect(blobs.map(({ id }) => id).sort()).toEqual(rows.map(({ blob }) => blob).sort());
  expect(filesIn(stateDirectory, 'blobs').sort()).toEqual(rows.map(({ blob }) => blob).sort());
  expect(filesIn(stateDirectory, 'tmp')).toEqual([]);
  expect(filesIn(stateDirectory, 'quarantine')).toEqual([]);
}

async function dieAt(dieAtStep: number, archives: readonly string[]): Promise<boolean> {
  const stateDirectory = join(folder, `step-${dieAtStep}`);
  mkdirSync(stateDirectory);
  const project = newId('project');
  const { crashed, acknowledged } = await run({
    databaseUrl: testDatabase.url,
    stateDirectory,
    project,
    archives,
    dieAtStep,
  });
  await checkSound(stateDirectory, project, acknowledged);
  if (!crashed) expect(acknowledged).toHaveLength(archives.length);
  return crashed;
}

it('loses nothing acknowledged and leaves nothing half done, whatever step the process dies at', async () => {
  const archives = ['first', 'second'].map((name) => join(folder, name));
  for (const path of archives) writeFileSync(path, await archiveOfSize(1_300_000));
  let steps = 0;
  for (let crashes = true; crashes;) {
    const round = await Promise.all(Array.from({ length: atOnce }, () => dieAt((steps += 1), archives)));
    crashes = round.every(Boolean);
  }
  expect(steps).toBeGreaterThan(50);
}, 600_000);

it('leaves a whole upload as it is', async () => {
  const stateDirectory = join(folder, 'whole');
  mkdirSync(stateDirectory);
  const archive = await archiveOfSize(1_300_000);
  const { bundles } = await openStorage({ database, stateDirectory });
  const project = newId('project');
  const bundle = await bundles.upload(project, undefined, { chunks: inChunks(archive), expectedBytes: 0 }, unlimited);
  await checkSound(stateDirectory, project, [bundle]);
});
