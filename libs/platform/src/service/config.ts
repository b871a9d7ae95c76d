/**
 * Configuration: environment variables, declared once with a description each, parsed once before anything starts.
 * The keys of the schema are the names of the variables, so that one word can be searched for everywhere.
 */
import { z } from 'zod';

/** Injects the parsed configuration of the service. */
export const CONFIG = Symbol('CONFIG');

const port = z.coerce.number().int().min(0).max(65_535);
const milliseconds = z.coerce.number().int().min(0).max(3_600_000);

/** Settings that every service has. */
export const serviceSettings = {
  ALTO_SERVICE_INSTANCE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,60}$/)
    .default(() => globalThis.crypto.randomUUID().slice(0, 13))
    .describe('Name of this instance of the service, unique among its instances; random unless given'),
  ALTO_SERVICE_VERSION: z.string().default('0.1.0').describe('Version that the service announces'),
  ALTO_HTTP_HOST: z.string().default('127.0.0.1').describe('Address to listen on for health, metrics and streams'),
  ALTO_HTTP_PORT: port.default(0).describe('Port to listen on; 0 takes a free one'),
  ALTO_HTTP_SOCKET: z.string().optional().describe('Path of a unix socket to listen on as well'),
  ALTO_HTTP_HEAD_TIMEOUT_MS: milliseconds
    .min(100)
    .default(15_000)
    .describe('A client that takes longer to send the head of a request is cut'),
  ALTO_ADVERTISED_URL: z
    .url()
    .optional()
    .describe('URL at which other services reach this one; made of host and port unless given'),
  ALTO_NATS_URL: z.string().default('nats://127.0.0.1:4222').describe('NATS servers, separated by commas'),
  ALTO_NATS_CREDS_FILE: z
    .string()
    .optional()
    .describe('NATS credentials of the service; without it NATS is used without them'),
  ALTO_DATABASE_URL: z
    .string()
    .optional()
    .describe(
      'PostgreSQL database of the service: postgresql://user:password@host/name, or ?host=/folder for a unix socket',
    ),
  ALTO_DATABASE_POOL_MAX: z.coerce
    .number()
    .int()
    .min(1)
    .max(200)
    .default(10)
    .describe('Connections to PostgreSQL at most'),
  ALTO_STATE_DIR: z.string().default('./state').describe('Folder for the files that the service keeps'),
  ALTO_CALLER_PUBLIC_KEYS: z
    .string()
    .default('')
    .describe(
      "The gateway's public keys (Ed25519, base64 of the SPKI DER form, separated by commas) that sign caller tokens",
    ),
  ALTO_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Least level that is logged'),
  ALTO_SHUTDOWN_TIMEOUT_MS: milliseconds
    .default(30_000)
    .describe('Time that accepted work has to finish after SIGTERM'),
  ALTO_LAME_DUCK_MS: milliseconds
    .default(1_200)
    .describe('Behind the load balancer: time from being not ready to accepting no more connections'),
  ALTO_CLOCK_OFFSET_FILE: z
    .string()
    .optional()
    .describe('File with milliseconds to add to the clock of business time; for tests'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url()
    .optional()
    .describe('OpenTelemetry collector (OTLP over HTTP) to send traces to'),
};

export type ServiceConfig = z.output<z.ZodObject<typeof serviceSettings>>;

/** Declares the settings of a service on top of those that every service has. */
export function defineConfig<S extends z.core.$ZodLooseShape>(settings: S) {
  return z.object({ ...serviceSettings, ...settings });
}

export type ConfigSchema = z.ZodType<ServiceConfig>;
export type ConfigOf<T extends z.ZodType> = z.output<T>;

/** All problems of a configuration at once, one line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(readonly problems: readonly string[]) {
    super(`The configuration is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

/** Parses the environment; an empty variable counts as not set. @throws ConfigError */
export function loadConfig<T extends z.ZodType>(
  schema: T,
  environment: Record<string, string | undefined>,
): ConfigOf<T> {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`));
}
