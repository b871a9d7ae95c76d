import { defineConfig, type ConfigOf } from '@alto/platform';
import { z } from 'zod';

const bytes = z.coerce.number().int().min(0);
const milliseconds = z.coerce.number().int().min(1);

export const storageConfig = defineConfig({
  ALTO_STORAGE_BUNDLE_BYTES_MAX: bytes.default(512 * 1024 * 1024).describe('Size of a bundle at most, compressed'),
  ALTO_STORAGE_BUNDLE_UNPACKED_BYTES_MAX: bytes
    .default(4 * 1024 * 1024 * 1024)
    .describe('Size of all files of a bundle together at most, unpacked'),
  ALTO_STORAGE_BUNDLE_ENTRIES_MAX: z.coerce
    .number()
    .int()
    .min(1)
    .default(200_000)
    .describe('Files, folders and links in a bundle at most'),
  ALTO_STORAGE_FREE_BYTES_MIN: bytes
    .default(256 * 1024 * 1024)
    .describe(
      'Space on the disk that is left free: uploads that would use it are refused, so that the disk never fills up',
    ),
  ALTO_STORAGE_UPLOAD_IDLE_MS: milliseconds
    .default(30_000)
    .describe('Time that an upload may go without a byte before it is given up'),
  ALTO_STORAGE_INTENT_LEASE_MS: milliseconds
    .default(60_000)
    .describe('Time after which an upload that does not renew its intent counts as dead and is cleaned up'),
  ALTO_STORAGE_SWEEP_EVERY_MS: milliseconds.default(30_000).describe('Time between two sweeps for dead uploads'),
  ALTO_STORAGE_ORPHAN_SCAN_EVERY_MS: milliseconds
    .default(3_600_000)
    .describe('Time between two scans of the disk for files that the database does not know'),
  ALTO_STORAGE_ORPHAN_AGE_MS: milliseconds
    .default(24 * 3_600_000)
    .describe('Age from which a file that the database does not know is set aside; longer than any upload or download'),
  ALTO_STORAGE_QUARANTINE_MS: milliseconds
    .default(7 * 24 * 3_600_000)
    .describe(
      'Time that a file set aside is kept before it is removed; longer than the oldest database backup you would restore',
    ),
  ALTO_STORAGE_LOCATE_TTL_MS: milliseconds
    .max(3_600_000)
    .default(5 * 60_000)
    .describe('Time that an address given to an agent for fetching a bundle is valid'),
});

export type StorageConfig = ConfigOf<typeof storageConfig>;
