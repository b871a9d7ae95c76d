/** The parts of the service wired by hand, so that a test can crash, fail or watch any of them. */
import { join } from 'node:path';
import { storageOperations } from '@alto/contracts';
import { Clock, createLog, Database, loadConfig, Outbox, SystemClock, connectionDefaults } from '@alto/platform';
import { BlobsService } from './blobs/blobs.service';
import { BlobsStore } from './blobs/blobs.store';
import { type FileSystem, NodeFileSystem } from './blobs/filesystem';
import { BundlesService, type UploadCall } from './bundles/bundles.service';
import { BundlesStore } from './bundles/bundles.store';
import { storageConfig, type StorageConfig } from './config';
import { storageService } from './storage.module';
import { QuotasStore } from './quotas/quotas.store';
import { StorageQuota } from './quotas/storage-quota';
import { Volume } from './volumes/volume';

export interface StorageParts {
  readonly config: StorageConfig;
  readonly volume: Volume;
  readonly store: BlobsStore;
  readonly blobs: BlobsService;
  readonly bundles: BundlesService;
}

export interface StorageOptions {
  readonly database: Database;
  readonly stateDirectory: string;
  readonly files?: FileSystem;
  readonly clock?: Clock;
  readonly settings?: Readonly<Record<string, string>>;
}

/** A database that is connected to; stop it in the end. */
export async function connectDatabase(url: string): Promise<Database> {
  const settings = { ...connectionDefaults, ...storageService.database!, service: 'storage', instance: 'test', url };
  const database = new Database(settings, silent);
  database.start();
  await database.whenReady(new AbortController().signal);
  return database;
}

/** A volume that is registered and the services on it. */
export async function openStorage(options: StorageOptions): Promise<StorageParts> {
  const { database, stateDirectory, files = new NodeFileSystem(), clock = new SystemClock(), settings = {} } = options;
  const config = loadConfig(storageConfig, { ALTO_STORAGE_FREE_BYTES_MIN: '0', ...settings });
  const volume = await Volume.open(files, join(stateDirectory, 'volume'));
  volume.admit();
  const store = new BlobsStore(database);
  const blobs = new BlobsService(config, volume, store, clock, silent);
  const outbox = new Outbox(database, clock);
  const quota = new StorageQuota(new QuotasStore(database));
  const bundles = new BundlesService(config, blobs, new BundlesStore(database), quota, database, outbox, clock, silent);
  return { config, volume, store, blobs, bundles };
}

/** A call by somebody whose project has no limits, on no terms. */
export const unlimited: UploadCall = {
  operation: storageOperations.bundles.upload.name,
  caller: { kind: 'service', id: 'test', role: undefined, project: null, projectName: null },
  terms: {},
};

/** A body that comes in chunks of this size. */
export async function* inChunks(content: Buffer, chunkBytes = 300_000): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.length; start += chunkBytes) yield content.subarray(start, start + chunkBytes);
}

const silent = createLog({ level: 'silent', service: 'storage', instance: 'test', version: '0' });
