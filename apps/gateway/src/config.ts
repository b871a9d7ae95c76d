import { z } from 'zod';
import { type ConfigOf, defineConfig } from '@alto/platform';

const milliseconds = z.coerce.number().int().min(0).max(3_600_000);
const count = z.coerce.number().int().min(1).max(1_000_000);

export const gatewayConfig = defineConfig({
  ALTO_CALLER_SIGNING_KEY_FILE: z
    .string()
    .describe('File with the private key that signs caller tokens: Ed25519 in PKCS #8, PEM, mode 0600'),
  ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE: z
    .string()
    .optional()
    .describe(
      'File that makes the first operator key known: one line "<id> <hash>", where the key is alto_<id>_<secret> ' +
        '(id: 26 characters as in key_<id>; secret: 64 lower-case hex digits) and the hash is the SHA-256 of the whole key in hex. ' +
        'Read at each start; a key that is known already is left alone, revoked or not',
    ),
  ALTO_DEFAULT_PROJECT: z.string().default('default').describe('Name of the project that is made at the first start'),
  ALTO_REQUEST_TIMEOUT_MS: milliseconds.default(10_000).describe('Time budget of a request to a service'),
  ALTO_JSON_BODY_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(1_024)
    .max(1_000_000)
    .default(900_000)
    .describe('Largest JSON body; it has to fit into one NATS message'),
  ALTO_JSON_DEPTH_MAX: z.coerce.number().int().min(2).max(200).default(32).describe('Deepest nesting of a JSON body'),
  ALTO_URL_BYTES_MAX: z.coerce.number().int().min(256).max(32_768).default(8_192).describe('Longest URL'),
  ALTO_UPLOAD_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(1)
    .default(5 * 2 ** 30)
    .describe('Largest body of an upload'),
  ALTO_STREAM_IDLE_MS: milliseconds
    .default(60_000)
    .describe('An upload or download that moves no byte for this long is cut'),
  ALTO_IDEMPOTENCY_WAIT_MS: milliseconds
    .default(5_000)
    .describe('How long a repetition waits for the answer of the first request before it gets request_in_progress'),
  ALTO_KEY_CACHE_MS: milliseconds
    .max(1_000)
    .default(800)
    .describe(
      'How long an API key or project is believed without asking PostgreSQL: the longest that a revoked key may still work',
    ),
  ALTO_KEY_STALE_MS: milliseconds
    .default(900_000)
    .describe('While PostgreSQL is away: how long keys and projects last seen go on working'),
  ALTO_REQUESTS_MAX: count.default(2_000).describe('Requests under way at this gateway at a time, streams included'),
  ALTO_EVENT_STREAMS_MAX: count.default(500).describe('Event streams (SSE) open at this gateway at a time'),
  ALTO_EVENT_STREAMS_PER_KEY_MAX: count.default(20).describe('Event streams of one API key at this gateway at a time'),
  ALTO_EVENT_HEARTBEAT_MS: milliseconds
    .min(100)
    .default(15_000)
    .describe('Pause between heartbeats of an event stream'),
});

export type GatewayConfig = ConfigOf<typeof gatewayConfig>;
