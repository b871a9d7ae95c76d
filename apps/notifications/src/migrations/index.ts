import type { MigrationClass } from '@alto/platform';
import { Topics } from './0001-topics';

/** In the order in which they run. */
export const notificationsMigrations: readonly MigrationClass[] = [Topics];
