import { defineConfig, type ConfigOf } from '@alto/platform';
import { z } from 'zod';

export const notificationsConfig = defineConfig({
  ALTO_NOTIFICATIONS_MESSAGE_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(1)
    .max(512 * 1024)
    .default(256 * 1024)
    .describe('Size of the body of a message at most, as JSON'),
});

export type NotificationsConfig = ConfigOf<typeof notificationsConfig>;
