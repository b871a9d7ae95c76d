/** What first start can be told; part of the agent's configuration. */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';

const port = z.coerce.number().int().min(1).max(65_535);
const absolutePath = z.string().refine(isAbsolute, 'must be an absolute path');
const ownDatabase = (service: string) =>
  z.string().optional().describe(`Database of ${service}, made by you; unless given Alto makes one itself`);

/** Settings handed to services as they are, e.g. `{"ALTO_LOG_LEVEL":"debug"}`. */
const serviceEnvironment = z
  .string()
  .default('{}')
  .transform((text, context) => {
    try {
      return z.record(z.string().regex(/^(ALTO|OTEL)_[A-Z0-9_]+$/), z.string()).parse(JSON.parse(text));
    } catch {
      context.addIssue({
        code: 'custom',
        message: 'must be a JSON object of ALTO_… and OTEL_… settings and their texts',
      });
      return z.NEVER;
    }
  });

export const firstStartSettings = {
  ALTO_API_PORT: port.default(4000).describe('Port of the API and the console'),
  ALTO_APPS_PORT: port.default(8080).describe('Port at which apps are reached'),
  ALTO_S3_PORT: port.default(9000).describe('Port of the S3 endpoint'),
  ALTO_PUBLIC_HOST: z
    .string()
    .default('127.0.0.1')
    .refine((text) => text === '*' || isIP(text) !== 0, "must be an IP address, or '*' for all")
    .describe("Address that the public ports are bound to; '*' for all"),
  ALTO_PRIVATE_HOST: z
    .string()
    .default('127.0.0.1')
    .refine((text) => isIP(text) !== 0, 'must be an IP address of this machine')
    .describe(
      'Address at which other machines of this Alto reach NATS and the files of storage, in a network that nobody else ' +
        'is in; unless given no other machine can join',
    ),
  ALTO_SERVICE_PORT_FIRST: port
    .default(14_100)
    .describe("First of the ports on loopback for NATS and Alto's services; kept from the first start on"),
  ALTO_RELEASES_SOURCE: absolutePath
    .optional()
    .describe('Folder with newly built releases, installed at each start; unless given what is installed is used'),
  ALTO_POSTGRES_SOURCE: absolutePath
    .optional()
    .describe('Folder whose bin/ holds postgres and initdb; unless given what is installed is used'),
  ALTO_NATS_SERVER: absolutePath.optional().describe('Path of nats-server; unless given what was used last'),
  ALTO_HAPROXY_COMMAND: absolutePath.optional().describe('Path of haproxy; unless given what was used last'),
  PATH: z.string().default('').describe('Where nats-server and haproxy are looked for'),
  ALTO_SERVICE_ENV: serviceEnvironment.describe("Settings for all of Alto's services as a JSON object"),
  ALTO_GATEWAY_DATABASE_URL: ownDatabase('gateway'),
  ALTO_COMPUTE_DATABASE_URL: ownDatabase('compute'),
  ALTO_STORAGE_DATABASE_URL: ownDatabase('storage'),
  ALTO_LOAD_BALANCER_DATABASE_URL: ownDatabase('load-balancer'),
  ALTO_NOTIFICATIONS_DATABASE_URL: ownDatabase('notifications'),
  ALTO_SEARCH_DATABASE_URL: ownDatabase('search'),
};

const schema = z.object({
  ...firstStartSettings,
  /** Set for every service; for the agent it names a server on which Alto may make its databases. */
  ALTO_DATABASE_URL: z.string().optional(),
});

export type FirstStartSettings = z.output<typeof schema>;

/** For tests and tools: the settings with nothing given but this. */
export function parseFirstStartSettings(given: Record<string, string | undefined>): FirstStartSettings {
  return schema.parse(given);
}
