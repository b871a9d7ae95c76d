import { bootstrap } from '@alto/platform';
import { notificationsService } from './notifications.module';

await bootstrap(notificationsService);
