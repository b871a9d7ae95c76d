import { homedir } from 'node:os';
import { join, isAbsolute } from 'node:path';
import { labelsSchema } from '@alto/contracts';
import { defineConfig, type ConfigOf } from '@alto/platform';
import { z } from 'zod';
import { firstStartSettings } from './first-start';
import { sandboxSettings } from './sandbox/settings';

/** `20000-29999` → first and last port. */
const portRange = z
  .string()
  .default('20000-29999')
  .transform((text, context) => {
    const [, first, last] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).map(Number);
    if (first !== undefined && last !== undefined && first >= 1 && first <= last && last <= 65_535)
      return { first, last };
    context.addIssue({ code: 'custom', message: 'must be a first and a last port as in 20000-29999' });
    return z.NEVER;
  });

/** `zone=a,disk=ssd` → labels. What they may be is compute's to say. */
const labels = z
  .string()
  .default('')
  .transform((text, context) => {
    const words = text.split(',').filter((word) => word.trim() !== '');
    const pairs = words.map((word) => word.trim().split('='));
    const parsed = labelsSchema.safeParse(Object.fromEntries(pairs));
    if (parsed.success && pairs.every(({ length }) => length === 2)) return parsed.data;
    context.addIssue({ code: 'custom', message: 'must be names and values as in zone=a,disk=ssd' });
    return z.NEVER;
  });

export const nodeAgentConfig = defineConfig({
  ...firstStartSettings,
  ...sandboxSettings,
  ALTO_DATA_DIR: z
    .string()
    .refine(isAbsolute, 'must be an absolute path')
    .optional()
    .describe('Folder of everything that Alto keeps on this machine; unless given ~/.alto, and /var/lib/alto for root'),
  ALTO_SERVICES: z
    .enum(['managed', 'external'])
    .default('managed')
    .describe(
      "Whether this agent starts Alto's own services, or somebody else does, such as Docker, and it runs apps alone",
    ),
  ALTO_KEEPER: z
    .enum(['on', 'off'])
    .default('off')
    .describe('Whether a small process beside the agent starts it again when it is killed; `alto up` turns it on'),
  ALTO_MASTER_KEY_FILE: z
    .string()
    .optional()
    .describe("File with the keys that open apps' secrets; unless given keys/master.key of the data folder"),
  ALTO_NODE_ID: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,60}$/)
    .optional()
    .describe('Id of this machine in the cluster, for which its NATS credentials are; unless given one of its own'),
  ALTO_NODE_NAME: z.string().max(200).optional().describe('Name of this machine; unless given its host name'),
  ALTO_NODE_IP: z.string().default('127.0.0.1').describe('Address at which instances of apps listen and are reached'),
  ALTO_NODE_LABELS: labels.describe(
    'What apps can ask of this machine, or be spread by, as zone=a,disk=ssd; see constraints and spread in alto.yaml',
  ),
  ALTO_INSTANCE_PORTS: portRange.describe(
    'Ports that instances of apps get, 20000-29999 unless given: below those of outgoing connections, and others for each ' +
      'agent of a machine',
  ),
  ALTO_NODE_BIN_DIR: z
    .string()
    .optional()
    .describe('First folder in which commands of apps are looked for; unless given that of the Node Alto runs on'),
  ALTO_NODE_CPU_MILLIS: z.coerce
    .number()
    .int()
    .min(10)
    .max(256_000)
    .optional()
    .describe('Thousandths of a CPU that instances may be placed on; unless given all of this machine'),
  ALTO_NODE_MEMORY_BYTES: z.coerce
    .number()
    .int()
    .min(1_048_576)
    .max(2 ** 42)
    .optional()
    .describe('Memory in bytes that instances may be placed on; unless given all of this machine'),
  ALTO_INSTANCE_CPU_BURST_MILLIS: z.coerce
    .number()
    .int()
    .min(10)
    .max(256_000)
    .default(1_000)
    .describe(
      'Thousandths of a CPU that an instance may take while nobody else wants them, where its own `cpuMillis` is less',
    ),
  ALTO_INSTANCE_PROCESSES_MAX: z.coerce
    .number()
    .int()
    .min(16)
    .max(100_000)
    .default(512)
    .describe('Processes and threads that an instance may have at a time'),
  ALTO_INSTANCE_LOG_BYTES_PER_SECOND: z.coerce
    .number()
    .int()
    .min(1_024)
    .default(2 ** 20)
    .describe(
      'Bytes of output kept of an instance in a second, ten seconds of it at once; a note says what was dropped',
    ),
  ALTO_INSTANCE_DISK_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(2 ** 20)
    .default(2 ** 32)
    .describe('Bytes that an instance may have in its working folder, its bundle included; with more it is killed'),
  ALTO_INSTANCE_FILES_MAX: z.coerce
    .number()
    .int()
    .min(100)
    .default(200_000)
    .describe('Files and folders that an instance may have in its working folder; with more it is killed'),
  ALTO_NODE_SYNC_MS: z.coerce
    .number()
    .int()
    .min(100)
    .max(60_000)
    .default(5_000)
    .describe('How often the agent reports to compute when nothing changes'),
  ALTO_WORKLOAD_LOG_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(65_536)
    .default(16 * 2 ** 20)
    .describe('Bytes of output kept of each workload'),
  ALTO_ENDED_LOGS_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(65_536)
    .default(2 ** 30)
    .describe('Bytes of output kept of all instances that are gone; each is kept for seven days at most'),
  ALTO_BUNDLE_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(1_024)
    .default(2 ** 31)
    .describe('Bytes that a bundle may have unpacked'),
  ALTO_BUNDLE_ENTRIES_MAX: z.coerce
    .number()
    .int()
    .min(1)
    .default(100_000)
    .describe('Files, folders and links that a bundle may have'),
});

export type NodeAgentConfig = ConfigOf<typeof nodeAgentConfig>;

export function dataDirectoryOf(config: NodeAgentConfig): string {
  return config.ALTO_DATA_DIR ?? (process.getuid?.() === 0 ? '/var/lib/alto' : join(homedir(), '.alto'));
}
