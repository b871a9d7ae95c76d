/** Quotas: how much of each thing a project may have. Set by operators, enforced by the service that makes the thing. */
import { z } from 'zod';
import { projectField } from './fields';
import { operation, type ServiceName } from './operation';

export const quotaNames = ['apps', 'instances', 'cpuMillis', 'memoryBytes', 'storageBytes', 'messages'] as const;
export type QuotaName = (typeof quotaNames)[number];

const amount = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** The limits of one project; what is left out is not limited. Every caller's token carries those of its project. */
export const projectLimitsSchema = z.strictObject({
  apps: amount.optional().describe('Apps'),
  instances: amount
    .optional()
    .describe('Replicas of all apps together; what a rollout adds for a while does not count'),
  cpuMillis: amount.optional().describe('Thousandths of a CPU asked for by all replicas together'),
  memoryBytes: amount.optional().describe('Memory in bytes asked for by all replicas together'),
  storageBytes: amount.optional().describe('Bytes of all bundles together'),
  messages: amount.optional().describe('Messages of all topics together'),
}) satisfies z.ZodType<Partial<Record<QuotaName, number>>>;
export type ProjectLimits = z.infer<typeof projectLimitsSchema>;

/** How much of it a project has: each service tells of what it makes. */
export const projectUseSchema = z.object({
  apps: amount.optional(),
  instances: amount.optional(),
  cpuMillis: amount.optional(),
  memoryBytes: amount.optional(),
  storageBytes: amount.optional(),
  messages: amount.optional(),
}) satisfies z.ZodType<Partial<Record<QuotaName, number>>>;
export type ProjectUse = z.infer<typeof projectUseSchema>;

/** The operation `<service>.usage.get`, of every service that makes something with a quota. The gateway looks for it. */
export function usageOperation(service: ServiceName) {
  return operation({
    service,
    noun: 'usage',
    verb: 'get',
    version: 1,
    summary: `Show how much a project has of what ${service} makes`,
    http: { method: 'GET', path: `/v1/projects/{project}/usage/${service}` },
    permission: 'projects.read',
    callers: ['gateway'],
    input: z.strictObject({ project: projectField }),
    output: z.object({ use: projectUseSchema }),
    errors: [],
    idempotent: true,
  });
}
