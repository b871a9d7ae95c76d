import { bootstrap } from '@alto/platform';
import { loadBalancerConfig } from './config';
import { loadBalancerDatabase } from './database';
import { LoadBalancerModule } from './load-balancer.module';

await bootstrap({
  name: 'load-balancer',
  module: LoadBalancerModule,
  config: loadBalancerConfig,
  database: loadBalancerDatabase,
});
