import { z } from 'zod';
import { type ConfigOf, defineConfig } from '@alto/platform';
import { parseOrigins } from './http/cors';
import { parseRanges } from './front/client-address';

const milliseconds = z.coerce.number().int().min(0).max(3_600_000);
const count = z.coerce.number().int().min(1).max(1_000_000);
const perSecond = z.coerce.number().min(0.01).max(100_000);
const addressRanges = z.string().superRefine((ranges, context) => {
  try {
    parseRanges(ranges);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

const corsOrigins = z.string().superRefine((origins, context) => {
  try {
    parseOrigins(origins);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

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
  ALTO_NATS_SUBSCRIBER_KEY_FILE: z
    .string()
    .optional()
    .describe('File with the seed of the NATS signing key for subscribers of events; without it none are signed in'),
  ALTO_NATS_SUBSCRIBER_ACCOUNT: z
    .string()
    .regex(/^A[A-Z2-7]{55}$/, 'must be the public key of a NATS account')
    .optional()
    .describe('Public key of the NATS account that subscribers of events are in'),
  ALTO_NATS_ACCOUNT_KEY_FILE: z
    .string()
    .optional()
    .describe(
      'File with the seed of a signing key of the NATS operator, for that account to be replaced when subscribers are ' +
        'revoked; without it they are refused only once they have expired',
    ),
  ALTO_NATS_SYSTEM_CREDS_FILE: z
    .string()
    .optional()
    .describe('NATS credentials in the system account, with which that account is replaced; belongs to the key before'),
  ALTO_NATS_PUBLIC_URL: z
    .string()
    .optional()
    .describe('NATS servers that subscribers are told, separated by commas; ALTO_NATS_URL unless given'),
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
  ALTO_JSON_ELEMENTS_MAX: count
    .default(100_000)
    .describe('Most values in the objects and lists of a JSON body together'),
  ALTO_JSON_BODY_TIMEOUT_MS: milliseconds
    .default(30_000)
    .describe('A client that takes longer to send a JSON body, from its first to its last byte, is cut'),
  ALTO_CORS_ORIGINS: corsOrigins
    .default('')
    .describe(
      'Origins whose pages may use the API from a browser, separated by commas, e.g. https://console.example; * for any',
    ),
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
  ALTO_UPLOAD_BYTES_PER_SECOND_MIN: count
    .default(1_000)
    .describe(
      'A client that sends an upload slower than this on average is cut, ALTO_STREAM_IDLE_MS after it has fallen behind; ' +
        'the time that the service takes for it does not count',
    ),
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
  ALTO_TRUSTED_PROXIES: addressRanges
    .default('127.0.0.0/8,::1')
    .describe(
      'Addresses and CIDR ranges, separated by commas, of the load balancers whose X-Forwarded-For and X-Forwarded-Proto are believed',
    ),
  ALTO_RATE_LIMIT_WINDOW_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(3_600)
    .default(10)
    .describe('What a caller has not used of its rate in this time it may use at once'),
  ALTO_RATE_LIMIT_ADDRESS_PER_SECOND: perSecond
    .default(2_000)
    .describe('Requests a second, on average, from one address (IPv6: one /64), counted before their key is looked at'),
  ALTO_RATE_LIMIT_KEY_PER_SECOND: perSecond
    .default(500)
    .describe('Requests a second, on average, with one API key of a project'),
  ALTO_RATE_LIMIT_PROJECT_PER_SECOND: perSecond
    .default(1_000)
    .describe('Requests a second, on average, with all API keys of a project together'),
  ALTO_RATE_LIMIT_OPERATOR_PER_SECOND: perSecond
    .default(2_000)
    .describe("Requests a second, on average, with one operator's API key"),
  ALTO_AUDIT_RETENTION_DAYS: z.coerce
    .number()
    .int()
    .min(1)
    .max(36_500)
    .default(90)
    .describe('How long entries of the audit log are kept'),
  ALTO_AUDIT_SWEEP_EVERY_MS: milliseconds
    .min(10)
    .default(3_600_000)
    .describe('Pause between removals of entries whose time is over'),
  ALTO_EVENT_STREAMS_MAX: count.default(500).describe('Event streams (SSE) open at this gateway at a time'),
  ALTO_EVENT_STREAMS_PER_KEY_MAX: count.default(20).describe('Event streams of one API key at this gateway at a time'),
  ALTO_EVENT_HEARTBEAT_MS: milliseconds
    .min(100)
    .default(15_000)
    .describe('Pause between heartbeats of an event stream'),
});

export type GatewayConfig = ConfigOf<typeof gatewayConfig>;
