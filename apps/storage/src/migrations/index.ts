import type { MigrationClass } from '@alto/platform';
import { Blobs } from './0001-blobs';

/** In the order in which they run. */
export const storageMigrations: readonly MigrationClass[] = [Blobs];
