import { bootstrap } from '@alto/platform';
import { searchService } from './search.module';

await bootstrap(searchService);
