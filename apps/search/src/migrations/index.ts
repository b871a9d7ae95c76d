import type { MigrationClass } from '@alto/platform';
import { Documents } from './0001-documents';

/** In the order in which they run. */
export const searchMigrations: readonly MigrationClass[] = [Documents];
