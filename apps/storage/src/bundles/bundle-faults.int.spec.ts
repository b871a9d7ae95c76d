/** Uploads whose disk or database fails at any one call: a clear error, nothing left behind, and the next one works. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AltoError, newId } from '@alto/contracts';
import type { Database } from '@alto/platform';
import { createDatabase, eventually, failing, type TestDatabase } from '@alto/testing';
import { BlobEntity } from '../blobs/blob.entity';
import { NodeFileSystem } from '../blobs/filesystem';
import { type FileCall, ObservedFileSystem } from '../blobs/observed-filesystem.fake';
import { connectDatabase, inChunks, openStorage, type StorageParts, unlimited } from '../storage.fake';
import { storageService } from '../storage.module';
import { archiveOfSize } from './archive.fake';

let testDatabase: TestDatabase;
let database: Database;
let stateDirectory: string;
let archive: Buffer;
let project: string;

beforeAll(async () => {
  testDatabase = await createDatabase({ name: 'storage', ...storageService.database! });
  database = await connectDatabase(testDatabase.url);
  archive = await archiveOfSize(1_300_000);
});

beforeEach(async () => {
  stateDirectory = mkdtempSync(join(tmpdir(), 'alto-storage-faults-'));
  project = newId('project');
});

afterEach(() => rmSync(stateDirectory, { recursive: true, force: true }));

afterAll(async () => {
  await database?.stop();
  await testDatabase?.drop();
});

function upload({ bundles }: StorageParts) {
  return bundles.upload(project, undefined, { chunks: inChunks(archive), expectedBytes: 0 }, unlimited);
}

function filesLeft(): string[] {
  const top = join(stateDirectory, 'volume');
  return readdirSync(top, { recursive: true })
    .map(String)
    .filter((name) => name !== 'volume.json' && statSync(join(top, name)).isFile());
}

function onDisk(observe: (call: FileCall) => void, settings: Record<string, string> = {}): Promise<StorageParts> {
  const files = new ObservedFileSystem(new NodeFileSystem(), observe);
  return openStorage({ database, stateDirectory, files, settings });
}

function diskFailure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

const writing = new Set(['create', 'write', 'dataSync', 'close', 'makeDirectory', 'syncDirectory', 'rename']);

describe('a disk that fails', () => {
  it.each([
    ['ENOSPC', 'insufficient_storage', false],
    ['EDQUOT', 'insufficient_storage', false],
    ['EIO', 'service_unavailable', true],
    ['EROFS', 'service_unavailable', true],
  ])('with %s at any call gives %s and leaves nothing', async (code, expected, isBroken) => {
    let calls = 0;
    for (let failAt = 1, failed = true; failed; failAt++) {
      failed = false;
      calls = 0;
      let armed = false;
      const parts = await onDisk(({ name }) => {
        if (!armed || !writing.has(name)) return;
        calls += 1;
        if (calls !== failAt) return;
        failed = true;
        throw diskFailure(code);
      });
      armed = true;
      project = newId('project');
      const outcome = await upload(parts).catch((error: AltoError) => error.code);
      if (!failed) continue;
      expect(outcome).toBe(expected);
      expect(parts.volume.notWritable === undefined).toBe(!isBroken);
      if (isBroken) await expect(upload(parts)).rejects.toMatchObject({ code: 'service_unavailable' });
    }
    expect(calls).toBeGreaterThanOrEqual(10);
    expect(filesLeft()).toHaveLength(1);
  });

  it('takes nothing that would use the space to be left free', async () => {
    const parts = await onDisk(() => {}, { ALTO_STORAGE_FREE_BYTES_MIN: String(Number.MAX_SAFE_INTEGER) });
    await expect(upload(parts)).rejects.toMatchObject({ code: 'insufficient_storage' });
    expect(filesLeft()).toEqual([]);
  });
});

describe('the order of an upload', () => {
  it('is: intent row, bytes, fdatasync, name, directory, one transaction, answer', async () => {
    const order: string[] = [];
    const watched = new Proxy(database, {
      get(target, key) {
        if (key === 'manager') order.push('statement');
        if (key !== 'transaction') return Reflect.get(target, key, target) as unknown;
        return async (body: Parameters<Database['transaction']>[0]) => {
          const result = await target.transaction(body);
          order.push('committed');
          return result;
        };
      },
    });
    const files = new ObservedFileSystem(new NodeFileSystem(), ({ name }) => void order.push(name));
    const parts = await openStorage({ database: watched, stateDirectory, files });
    order.length = 0;
    await upload(parts);
    order.push('answered');
    const names = order.filter((name) => name !== 'statement' || order.indexOf(name) === order.lastIndexOf(name));
    expect(names.slice(0, 2)).toEqual(['freeBytes', 'create']);
    expect(order.indexOf('statement')).toBeLessThan(order.indexOf('create'));
    expect(names.slice(names.indexOf('dataSync'))).toEqual([
      'dataSync',
      'close',
      'makeDirectory',
      'syncDirectory',
      'makeDirectory',
      'syncDirectory',
      'rename',
      'syncDirectory',
      'committed',
      'answered',
    ]);
    expect(order.lastIndexOf('write')).toBeLessThan(order.indexOf('dataSync'));
  });
});

describe('a database that fails', () => {
  const broken = new AltoError('service_unavailable', 'The connection broke.');

  it('is asked again when the answer to the commit is lost, and what it committed is acknowledged', async () => {
    const faulty = failing(database, { call: 1, methods: ['transaction'], when: 'after', error: broken });
    const bundle = await upload(await openStorage({ database: faulty, stateDirectory }));
    expect(filesLeft()).toHaveLength(1);
    const again = await upload(await openStorage({ database, stateDirectory }));
    expect(again.id).toBe(bundle.id);
  });

  it('leaves no file of what it did not commit', async () => {
    const faulty = failing(database, { call: 1, methods: ['transaction'], error: broken });
    const parts = await openStorage({ database: faulty, stateDirectory });
    await expect(upload(parts)).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(filesLeft()).toEqual([]);
    expect((await upload(await openStorage({ database, stateDirectory }))).sizeBytes).toBe(archive.length);
  });

  it('leaves the file where it cannot say what it did', async () => {
    const gone = new Proxy(database, {
      get(target, key) {
        if (key !== 'transaction') return Reflect.get(target, key, target) as unknown;
        return () => Promise.reject(broken);
      },
    });
    await expect(upload(await openStorage({ database: gone, stateDirectory }))).rejects.toMatchObject({
      code: 'service_unavailable',
    });
    expect(filesLeft()).toHaveLength(1);
  });
});

describe('an upload that stalls', () => {
  it('keeps its intent while bytes come, and stops when the sweeper took it for dead', async () => {
    const parts = await openStorage({ database, stateDirectory, settings: { ALTO_STORAGE_INTENT_LEASE_MS: '60' } });
    const intents = () => database.manager.findBy(BlobEntity, { volume: parts.volume.id, state: 'intent' });
    const more = Promise.withResolvers<void>();
    async function* body() {
      yield archive.subarray(0, 700_000);
      await more.promise;
      yield archive.subarray(700_000);
    }
    const uploading = parts.bundles.upload(project, undefined, { chunks: body(), expectedBytes: 0 }, unlimited);
    uploading.catch(() => {});
    const [begun] = await eventually(async () => {
      const found = await intents();
      return found.length === 1 && found;
    });
    await eventually(async () => (await intents())[0]!.leaseExpiresAt > begun!.leaseExpiresAt);
    await database.manager.update(BlobEntity, { id: begun!.id }, { state: 'condemned' });
    await eventually(async () => (await intents()).length === 0);
    more.resolve();
    await expect(uploading).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(filesLeft()).toEqual([]);
  });
});
