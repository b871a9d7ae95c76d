import { z } from 'zod';
import { type ConfigOf, defineConfig } from '@alto/platform';

const milliseconds = z.coerce.number().int().min(100).max(86_400_000);

export const computeConfig = defineConfig({
  ALTO_MASTER_KEY_FILE: z
    .string()
    .optional()
    .describe('File of mode 0600 with the keys that seal secrets: 32 bytes in base64, one a line; the last one seals'),
  ALTO_MASTER_KEY: z.string().optional().describe('The same keys in place of a file, separated by commas'),
  ALTO_RESEAL_EVERY_MS: milliseconds
    .default(10_000)
    .describe('How often secrets are looked for that an older master key has sealed, to be sealed with the newest'),
  ALTO_NODE_SUSPECT_AFTER_MS: milliseconds
    .default(10_000)
    .describe('Silence of an agent after which nothing new is placed on its node'),
  ALTO_NODE_LOST_AFTER_MS: milliseconds
    .default(15_000)
    .describe('Silence of an agent after which its node is lost and its instances are replaced'),
  ALTO_PROXY_EXPIRES_AFTER_MS: milliseconds
    .default(30_000)
    .describe('Silence of a proxy after which it is struck off, where another one is heard: it has taken its place'),
  ALTO_DRAIN_TIMEOUT_MS: milliseconds
    .default(30_000)
    .describe('Longest time that requests in flight have before the instance that serves them is told to end'),
  ALTO_FAILED_HOLD_MS: milliseconds
    .default(60_000)
    .describe('How long an instance that its agent has given up stays to be looked at before another one is tried'),
  ALTO_RECONCILE_EVERY_MS: milliseconds
    .default(5_000)
    .describe('How often everything is compared with what it should be, whatever has been heard or missed'),
  ALTO_TOMBSTONES_KEPT_MS: milliseconds
    .default(86_400_000)
    .describe('How long a proxy that was away can learn which apps were deleted without reading everything again'),
});

export type ComputeConfig = ConfigOf<typeof computeConfig>;
