import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@alto/contracts';
import { createLog, type Database, FakeClock, type Lease } from '@alto/platform';
import { createDatabase, eventually, startNats, startTestService, type TestDatabase } from '@alto/testing';
import { connectDatabase, openStorage, type StorageParts } from '../storage.fake';
import { storageService } from '../storage.module';
import type { BlobDraft } from './blob-draft';
import { BlobEntity } from './blob.entity';
import { BlobsReconciler } from './blobs.reconciler';

const hourMs = 3_600_000;
const project = newId('project');
const log = createLog({ level: 'silent', service: 'storage', instance: 'test', version: '0' });

let testDatabase: TestDatabase;
let database: Database;
let stateDirectory: string;
let clock: FakeClock;
let parts: StorageParts;
let reconciler: BlobsReconciler;
let lease: Lease;
const drafts: BlobDraft[] = [];

beforeAll(async () => {
  testDatabase = await createDatabase({ name: 'storage', ...storageService.database! });
  database = await connectDatabase(testDatabase.url);
});

beforeEach(async () => {
  stateDirectory = mkdtempSync(join(tmpdir(), 'alto-storage-sweep-'));
  clock = new FakeClock(Date.now());
  parts = await openStorage({ database, stateDirectory, clock });
  reconciler = new BlobsReconciler(parts.config, parts.volume, parts.store, undefined as never, clock, log);
  lease = {
    name: 'sweeper',
    token: 1,
    signal: new AbortController().signal,
    transaction: (body) => database.transaction(body),
  };
});

afterEach(async () => {
  for (const draft of drafts.splice(0)) await draft.giveUp();
  rmSync(stateDirectory, { recursive: true, force: true });
});

afterAll(async () => {
  await database?.stop();
  await testDatabase?.drop();
});

async function stateOf(id: string): Promise<string | undefined> {
  return (await database.manager.findOneBy(BlobEntity, { id }))?.state;
}

function filesIn(area: string): string[] {
  const top = join(stateDirectory, 'volume', area);
  return readdirSync(top, { recursive: true })
    .map(String)
    .filter((name) => statSync(join(top, name)).isFile())
    .map((name) => name.split('/').at(-1)!);
}

async function draft(): Promise<BlobDraft> {
  const draft = await parts.blobs.begin(project, 0);
  drafts.push(draft);
  await draft.write(Buffer.from('content'));
  await draft.finish();
  draft.end();
  return draft;
}

async function liveBlob(): Promise<string> {
  const blob = await draft();
  await blob.publish();
  await database.transaction((tx) => blob.commit(tx));
  return blob.id;
}

describe('the sweeper', () => {
  it('removes an upload whose lease ran out, published or not, and no other', async () => {
    const [writing, published] = [await draft(), await draft()];
    await published.publish();
    const live = await liveBlob();
    await reconciler.sweep(lease);
    expect([await stateOf(writing.id), await stateOf(published.id)]).toEqual(['intent', 'intent']);
    clock.advance(parts.config.ALTO_STORAGE_INTENT_LEASE_MS + 1);
    const alive = await draft();
    await reconciler.sweep(lease);
    expect([await stateOf(writing.id), await stateOf(published.id)]).toEqual([undefined, undefined]);
    expect(await stateOf(alive.id)).toBe('intent');
    expect(filesIn('tmp')).toEqual([alive.id]);
    expect(filesIn('blobs')).toEqual([live]);
  });

  it('leaves an upload alone that is being committed at this moment', async () => {
    const blob = await draft();
    await blob.publish();
    clock.advance(hourMs);
    await database.transaction(async (tx) => {
      await blob.commit(tx);
      await reconciler.sweep(lease);
    });
    expect(await stateOf(blob.id)).toBe('live');
    expect(filesIn('blobs')).toEqual([blob.id]);
  });

  it('refuses the commit of an upload that it has swept, and lets no file of it stay', async () => {
    const blob = await draft();
    clock.advance(hourMs);
    await reconciler.sweep(lease);
    await expect(blob.publish()).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(database.transaction((tx) => blob.commit(tx))).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(filesIn('blobs')).toEqual([]);
  });

  it('goes on where a sweep died between file and row', async () => {
    const blob = await draft();
    await database.manager.update(BlobEntity, { id: blob.id }, { state: 'condemned' });
    await parts.volume.files.remove(blob.id);
    await reconciler.sweep(lease);
    expect(await stateOf(blob.id)).toBeUndefined();
  });

  it('sets a file aside that the database does not know, and removes it long after', async () => {
    const live = await liveBlob();
    const orphan = await draft();
    await orphan.publish();
    await database.manager.delete(BlobEntity, { id: orphan.id });
    await reconciler.sweep(lease);
    expect(filesIn('blobs').sort()).toEqual([live, orphan.id].sort());
    clock.advance(25 * hourMs);
    await reconciler.sweep(lease);
    expect(filesIn('blobs')).toEqual([live]);
    expect(filesIn('quarantine')).toEqual([expect.stringMatching(`^${orphan.id}\\.`)]);
    clock.advance(6 * 24 * hourMs);
    await reconciler.sweep(lease);
    expect(filesIn('quarantine')).toHaveLength(1);
    clock.advance(2 * 24 * hourMs);
    await reconciler.sweep(lease);
    expect(filesIn('quarantine')).toEqual([]);
  });

  it('removes temporary files of uploads that are no more', async () => {
    writeFileSync(join(stateDirectory, 'volume', 'tmp', newId('blob')), 'rest');
    await reconciler.sweep(lease);
    expect(filesIn('tmp')).toHaveLength(1);
    clock.advance(25 * hourMs);
    await reconciler.sweep(lease);
    expect(filesIn('tmp')).toEqual([]);
  });
});

it('is at work in a running service', async () => {
  const nats = await startNats();
  const settings = {
    ALTO_STATE_DIR: stateDirectory,
    ALTO_STORAGE_SWEEP_EVERY_MS: '50',
    ALTO_STORAGE_FREE_BYTES_MIN: '0',
  };
  const service = await startTestService(storageService, {
    natsUrl: nats.url,
    databaseUrl: testDatabase.url,
    settings,
  });
  try {
    const dead = await draft();
    await database.manager.update(BlobEntity, { id: dead.id }, { leaseExpiresAt: new Date(0) });
    await eventually(async () => (await stateOf(dead.id)) === undefined, { withinMs: 30_000 });
    expect(filesIn('tmp')).toEqual([]);
  } finally {
    await service.stop();
    await nats.stop();
  }
});
