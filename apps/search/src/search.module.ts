import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@alto/platform';
import { searchConfig } from './config';
import { DocumentEntity } from './documents/document.entity';
import { DocumentsController } from './documents/documents.controller';
import { DocumentsService } from './documents/documents.service';
import { DocumentsStore } from './documents/documents.store';
import { HitsController } from './hits/hits.controller';
import { HitsService } from './hits/hits.service';
import { HitsStore } from './hits/hits.store';
import { IndexEntity } from './indexes/index.entity';
import { IndexesService } from './indexes/indexes.service';
import { IndexesStore } from './indexes/indexes.store';
import { searchMigrations } from './migrations';

@Module({
  controllers: [DocumentsController, HitsController],
  providers: [IndexesService, IndexesStore, DocumentsService, DocumentsStore, HitsService, HitsStore],
})
export class SearchModule {}

export const searchService: ServiceDefinition = {
  name: 'search',
  module: SearchModule,
  config: searchConfig,
  database: { entities: [IndexEntity, DocumentEntity], migrations: searchMigrations },
};
