import type { MigrationClass } from '@alto/platform';
import { Topics } from './0001-topics';
import { Quotas } from './0002-quotas';

/** In the order in which they run. */
export const notificationsMigrations: readonly MigrationClass[] = [Topics, Quotas];
