import { bootstrap } from '@alto/platform';
import { storageService } from './storage.module';

await bootstrap(storageService);
