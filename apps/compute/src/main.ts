import { bootstrap } from '@alto/platform';
import { ComputeModule } from './compute.module';
import { computeConfig } from './config';
import { computeDatabase } from './database';

await bootstrap({ name: 'compute', module: ComputeModule, config: computeConfig, database: computeDatabase });
