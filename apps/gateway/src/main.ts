import { bootstrap } from '@alto/platform';
import { gatewayService } from './gateway.module';

await bootstrap(gatewayService);
