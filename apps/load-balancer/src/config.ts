import { defineConfig, type ConfigOf } from '@alto/platform';
import { isIP } from 'node:net';
import { z } from 'zod';
import type { Address } from './proxy/proxy.engine';

const port = z.coerce.number().int().min(1).max(65_535);
const milliseconds = (leastMs: number) => z.coerce.number().int().min(leastMs).max(86_400_000);

const addressesMax = 200;

const addressList = z
  .string()
  .default('')
  .superRefine((text, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    const items = itemsOf(text);
    if (items.length > addressesMax) refuse(`must hold ${addressesMax} addresses at most`);
    for (const item of items) {
      if (parseAddress(item) === undefined) refuse(`'${item}' must be an IP address and a port, as 127.0.0.1:14100`);
    }
  });

export const loadBalancerConfig = defineConfig({
  ALTO_HAPROXY_DIR: z
    .string()
    .min(1)
    .default('./haproxy')
    .describe(
      'Folder with what HAProxy starts from: haproxy.cfg, maps and what the load balancer last knew. ' +
        'haproxy.cfg is there before the load balancer is ready',
    ),
  ALTO_HAPROXY_RUN_DIR: z
    .string()
    .min(1)
    .max(80)
    .optional()
    .describe(
      'Folder with the sockets of HAProxy: admin.sock, which haproxy.cfg names, and master.sock, which `haproxy -S` ' +
        'names; ALTO_HAPROXY_DIR unless given. Socket paths are short: 80 characters at most',
    ),
  ALTO_HAPROXY_COMMAND: z.string().min(1).default('haproxy').describe('HAProxy program that checks a new haproxy.cfg'),
  ALTO_HAPROXY_MAXCONN: z.coerce
    .number()
    .int()
    .min(100)
    .max(1_000_000)
    .default(4_000)
    .describe('Connections from clients at most; each needs two file descriptors'),
  ALTO_PROXY_CONNECTIONS_PER_ADDRESS: z.coerce
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .describe(
      'Connections from one address at most, so that one client cannot take them all; 0 for half of ' +
        'ALTO_HAPROXY_MAXCONN. Raise it where another proxy stands before this one',
    ),
  ALTO_PROXY_THREADS: z.coerce
    .number()
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe(
      "Threads of HAProxy; 0 for half of the machine's processors, since apps need the others: a request costs less CPU " +
        'the fewer there are, and one thread does tens of thousands of requests a second',
    ),
  ALTO_PUBLIC_HOST: z
    .string()
    .default('127.0.0.1')
    .refine((text) => text === '*' || isIP(text) !== 0, "must be an IP address, or '*' for all")
    .describe("Address that the public ports are bound to; '*' for all"),
  ALTO_API_PORT: port.default(4000).describe('Port of the API and the console'),
  ALTO_APPS_PORT: port.default(8080).describe('Port of the apps'),
  ALTO_S3_PORT: port.default(9000).describe('Port of the S3 endpoint'),
  ALTO_GATEWAY_TARGETS: addressList.describe(
    'Addresses of all slots for instances of the gateway, separated by commas; those whose /readyz answers 200 are used',
  ),
  ALTO_STORAGE_TARGETS: addressList.describe(
    'Addresses of all slots for instances of the storage service, separated by commas; those whose /readyz answers 200 are used',
  ),
  ALTO_APPS_DOMAIN: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]{0,150}[a-z0-9])?$/, 'must be a lower-case domain name')
    .default('localhost')
    .describe('An app answers at <app>.<project>.<this domain>'),
  ALTO_PROXY_SERVER_TIMEOUT_MS: milliseconds(100)
    .default(60_000)
    .describe('Longest silence of an app within a request; streams of events and WebSockets have the stream timeout'),
  ALTO_PROXY_STREAM_TIMEOUT_MS: milliseconds(1_000)
    .default(3_600_000)
    .describe('Longest silence on a WebSocket or a stream of events'),
  ALTO_PROXY_SLOW_START_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(600_000)
    .default(2_000)
    .describe(
      'An instance that comes beside others gets its share of requests step by step over this time; 0: at once',
    ),
  ALTO_PROXY_ACCESS_LOG: z
    .enum(['off', 'on'])
    .default('off')
    .describe(
      "Writes a line of JSON for each request to an app, with its path and without its query, to HAProxy's log; " +
        'requests that failed are there anyway',
    ),
  ALTO_PROXY_EJECTION_BASE_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(3_600_000)
    .default(10_000)
    .describe(
      'An instance of which most answers fail while those of its siblings do not gets no requests for so long; twice as ' +
        'long each time in a row; 0: never',
    ),
  ALTO_PROXY_EJECTION_MAX_MS: milliseconds(100)
    .default(300_000)
    .describe('Longest time for which such an instance gets no requests'),
  ALTO_PROXY_WATCH_INTERVAL_MS: milliseconds(50)
    .default(1_000)
    .describe('Between two looks at how the instances answer'),
  ALTO_PROXY_SYNC_INTERVAL_MS: milliseconds(50)
    .default(5_000)
    .describe('Between two questions for changed endpoints and routes, when no nudge comes'),
});

export type LoadBalancerConfig = ConfigOf<typeof loadBalancerConfig>;

/** `127.0.0.1:14100,[::1]:14101` → addresses. */
export function parseAddresses(text: string): Address[] {
  return itemsOf(text).flatMap((item) => parseAddress(item) ?? []);
}

function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function parseAddress(text: string): Address | undefined {
  const [, address = '', port = ''] = /^\[?([0-9a-fA-F:.]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  const number = Number(port);
  return isIP(address) !== 0 && number >= 1 && number <= 65_535 ? { address, port: number } : undefined;
}
