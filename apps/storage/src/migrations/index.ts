import type { MigrationClass } from '@alto/platform';
import { Blobs } from './0001-blobs';
import { Quotas } from './0002-quotas';

/** In the order in which they run. */
export const storageMigrations: readonly MigrationClass[] = [Blobs, Quotas];
