import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { CONFIG, type ServiceDefinition } from '@alto/platform';
import { BlobEntity } from './blobs/blob.entity';
import { BlobsReconciler } from './blobs/blobs.reconciler';
import { BlobsService } from './blobs/blobs.service';
import { BlobsStore } from './blobs/blobs.store';
import { FileSystem, NodeFileSystem } from './blobs/filesystem';
import { BundleContentService } from './bundles/bundle-content.service';
import { BundleEntity } from './bundles/bundle.entity';
import { BundleTransfersController } from './bundles/bundle-transfers.controller';
import { BundlesController } from './bundles/bundles.controller';
import { BundlesService } from './bundles/bundles.service';
import { BundlesStore } from './bundles/bundles.store';
import { SigningKeyEntity } from './bundles/signing-key.entity';
import { SigningKeysService } from './bundles/signing-keys.service';
import { SigningKeysStore } from './bundles/signing-keys.store';
import { UploadStream } from './bundles/upload-stream';
import { storageConfig, type StorageConfig } from './config';
import { storageMigrations } from './migrations';
import { QuotasStore } from './quotas/quotas.store';
import { StorageQuota } from './quotas/storage-quota';
import { UsageController } from './quotas/usage.controller';
import { Volume } from './volumes/volume';
import { VolumeEntity, VolumeServerEntity } from './volumes/volume.entity';
import { VolumesService } from './volumes/volumes.service';
import { VolumesStore } from './volumes/volumes.store';

@Module({
  controllers: [BundlesController, BundleTransfersController, UsageController],
  providers: [
    { provide: FileSystem, useClass: NodeFileSystem },
    {
      provide: Volume,
      inject: [FileSystem, CONFIG],
      useFactory: (files: FileSystem, config: StorageConfig) =>
        Volume.open(files, join(config.ALTO_STATE_DIR, 'volume')),
    },
    VolumesService,
    VolumesStore,
    BlobsService,
    BlobsStore,
    BlobsReconciler,
    BundlesService,
    BundlesStore,
    BundleContentService,
    QuotasStore,
    StorageQuota,
    SigningKeysService,
    SigningKeysStore,
    UploadStream,
  ],
})
export class StorageModule {}

export const storageService: ServiceDefinition = {
  name: 'storage',
  module: StorageModule,
  config: storageConfig,
  database: {
    entities: [VolumeEntity, VolumeServerEntity, BlobEntity, BundleEntity, SigningKeyEntity],
    migrations: storageMigrations,
  },
  fronted: true,
};
