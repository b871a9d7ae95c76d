import { defineConfig, type ConfigOf } from '@alto/platform';
import { z } from 'zod';

export const searchConfig = defineConfig({
  ALTO_SEARCH_DOCUMENT_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(1)
    .max(512 * 1024)
    .default(256 * 1024)
    .describe('Size of the fields of a document at most, as JSON'),
});

export type SearchConfig = ConfigOf<typeof searchConfig>;
