import { z } from 'zod';
import { event } from '../event';
import { emptyOutput, nameField, pageOf, pageRequest, projectField, timeField } from '../fields';
import { idOf } from '../ids';
import { operation, serviceNames } from '../operation';
import { projectRoles, roles, scopes } from '../permissions';
import { projectLimitsSchema, projectUseSchema } from '../quotas';

export const projectSchema = z.object({
  id: idOf('project'),
  name: nameField,
  displayName: z.string(),
  version: z.number().int(),
  createdAt: timeField,
  updatedAt: timeField,
});
export type Project = z.infer<typeof projectSchema>;

export const apiKeySchema = z.object({
  id: idOf('key'),
  name: z.string(),
  kind: z.enum(['api', 'nats']).optional().describe('nats: credentials that read the events of the project on NATS'),
  role: z.enum(roles),
  /** Null for a key of the whole cluster. */
  project: z.string().nullable(),
  version: z.number().int(),
  createdAt: timeField,
  lastUsedAt: timeField.nullable().describe('Coarse: within a minute or so'),
  revokedAt: timeField.nullable(),
  expiresAt: timeField.nullable().optional().describe('When it stops working by itself; null for never'),
  scopes: z.array(z.string()).nullable().optional().describe('What it is narrowed to; null for all that its role may'),
  previousValidUntil: timeField
    .nullable()
    .optional()
    .describe('After a rotation: until when the secret before still works; null when it does not'),
});
export type ApiKey = z.infer<typeof apiKeySchema>;

export const projectQuotasSchema = z.object({
  project: idOf('project'),
  limits: projectLimitsSchema,
  /** 0 until limits were set for the first time. */
  version: z.number().int(),
  updatedAt: timeField.nullable(),
});
export type ProjectQuotas = z.infer<typeof projectQuotasSchema>;

export const auditResults = ['done', 'refused', 'failed', 'unknown', 'pending'] as const;

export const auditEntrySchema = z.object({
  id: idOf('audit'),
  at: timeField,
  project: z.string().nullable(),
  /** Null where nobody was known. */
  key: z.object({ id: z.string(), name: z.string(), role: z.string() }).nullable(),
  operation: z.string(),
  /** As the path names it, without the project: `apps/web`. */
  resource: z.string(),
  address: z.string(),
  requestId: z.string(),
  traceId: z.string(),
  result: z
    .string()
    .describe('done, refused, failed; unknown: the gateway ended before the answer, so it may be done or not; pending'),
  status: z.number().int().nullable(),
  code: z.string().nullable(),
  attempts: z.number().int().describe('Above 1 for refused attempts of one kind that followed each other closely'),
  before: z
    .unknown()
    .describe('The resource as it was read just before, without its secrets; null where there is none'),
  after: z.unknown().describe('What was answered, without its secrets'),
});
export type AuditRecord = z.infer<typeof auditEntrySchema>;

const auditFilter = {
  key: z.string().max(60).optional().describe('Id of the key'),
  operation: z.string().max(200).optional().describe('Such as compute.apps.put'),
  resource: z.string().max(300).optional().describe('Such as apps/web; all below it are meant as well'),
  result: z.enum(auditResults).optional(),
  since: timeField.optional().describe('Entries of this time and later'),
  until: timeField.optional().describe('Entries before this time'),
};
const audit = {
  service: 'gateway',
  noun: 'audit',
  version: 1,
  callers: ['gateway'],
  errors: [],
  idempotent: true,
} as const;
const ndjson = z.object({});

export const serviceStatusSchema = z.object({
  service: z.enum(serviceNames),
  state: z.enum(['available', 'unavailable']),
  versions: z.array(z.string()),
  instances: z.array(
    z.object({ instance: z.string(), version: z.string(), state: z.enum(['ready', 'draining']), since: timeField }),
  ),
  reason: z.string(),
});

const displayName = z.string().min(1).max(100);
const keyName = z.string().min(1).max(100).describe('What the key is for');
const keyWithSecret = apiKeySchema.extend({
  key: z.string().describe('alto_<id>_<secret>; kept nowhere, shown this once'),
});
const newKeyFields = {
  name: keyName,
  expiresAt: timeField.optional().describe('When it stops working by itself; never unless given'),
  scopes: z
    .array(z.enum(scopes))
    .min(1)
    .max(scopes.length)
    .optional()
    .describe(
      'Permissions that it is narrowed to, such as apps.read, or apps.* for all on apps; all of its role unless given',
    ),
};
const keyId = z.string().max(60);
const overlapMs = z
  .number()
  .int()
  .min(0)
  .max(30 * 86_400_000)
  .default(3_600_000)
  .describe('How long the secret before goes on working beside the new one, in milliseconds');

const operatorKey = { service: 'gateway', noun: 'operatorKeys', version: 1, callers: ['gateway'] } as const;

export const gatewayOperations = {
  identity: {
    get: operation({
      service: 'gateway',
      noun: 'identity',
      verb: 'get',
      version: 1,
      summary: 'Say who the API key belongs to and what it may do',
      http: { method: 'GET', path: '/v1/whoami' },
      permission: 'authenticated',
      callers: ['gateway'],
      input: z.strictObject({}),
      output: z.object({
        key: z.string(),
        role: z.enum(roles),
        project: z.object({ id: z.string(), name: z.string() }).nullable(),
        permissions: z.array(z.string()),
      }),
      errors: [],
      idempotent: true,
    }),
  },
  projects: {
    create: operation({
      service: 'gateway',
      noun: 'projects',
      verb: 'create',
      version: 1,
      summary: 'Create a project',
      http: { method: 'POST', path: '/v1/projects', status: 201 },
      permission: 'cluster.write',
      callers: ['gateway'],
      input: z.strictObject({ name: nameField, displayName: displayName.optional() }),
      output: projectSchema,
      errors: ['already_exists'],
      idempotent: false,
    }),
    get: operation({
      service: 'gateway',
      noun: 'projects',
      verb: 'get',
      version: 1,
      summary: 'Show a project',
      http: { method: 'GET', path: '/v1/projects/{project}' },
      permission: 'projects.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField }),
      output: projectSchema,
      errors: [],
      idempotent: true,
    }),
    list: operation({
      service: 'gateway',
      noun: 'projects',
      verb: 'list',
      version: 1,
      summary: 'List the projects that the key can see',
      http: { method: 'GET', path: '/v1/projects' },
      permission: 'projects.read',
      callers: ['gateway'],
      input: z.strictObject({ ...pageRequest }),
      output: pageOf(projectSchema),
      errors: [],
      idempotent: true,
    }),
  },
  keys: {
    create: operation({
      service: 'gateway',
      noun: 'keys',
      verb: 'create',
      version: 1,
      summary: 'Create an API key for a project; its secret is shown once',
      http: { method: 'POST', path: '/v1/projects/{project}/keys', status: 201 },
      permission: 'keys.write',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, role: z.enum(projectRoles), ...newKeyFields }),
      output: keyWithSecret,
      errors: ['unprocessable'],
      idempotent: false,
    }),
    createNats: operation({
      service: 'gateway',
      noun: 'keys',
      verb: 'createNats',
      version: 1,
      summary: 'Create credentials that read the events of a project on NATS, and nothing else; shown once',
      http: { method: 'POST', path: '/v1/projects/{project}/keys/nats', status: 201 },
      // What a trial would show lets its reader in: it is signed, and no server asks Alto about it.
      dryRun: false,
      permission: 'keys.write',
      callers: ['gateway'],
      input: z.strictObject({
        project: projectField,
        name: keyName,
        expiresAt: timeField.optional().describe('When they stop working; after 90 days unless given, a year at most'),
      }),
      output: apiKeySchema.extend({
        credentials: z.string().describe('Content of a NATS credentials file; kept nowhere, shown this once'),
        servers: z.array(z.string()).describe('URLs of NATS'),
        subject: z.string().describe('What they can subscribe to; narrower subjects under it work as well'),
      }),
      errors: ['unprocessable', 'quota_exceeded'],
      idempotent: false,
    }),
    list: operation({
      service: 'gateway',
      noun: 'keys',
      verb: 'list',
      version: 1,
      summary: 'List the API keys of a project, without their secrets',
      http: { method: 'GET', path: '/v1/projects/{project}/keys' },
      permission: 'keys.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, ...pageRequest }),
      output: pageOf(apiKeySchema),
      errors: [],
      idempotent: true,
    }),
    rotate: operation({
      service: 'gateway',
      noun: 'keys',
      verb: 'rotate',
      version: 1,
      summary: 'Give an API key a new secret; the one before works for a while longer',
      http: { method: 'POST', path: '/v1/projects/{project}/keys/{key}/rotate' },
      permission: 'keys.write',
      precondition: 'optional',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, key: keyId, overlapMs }),
      output: keyWithSecret,
      errors: ['conflict'],
      idempotent: false,
    }),
    revoke: operation({
      service: 'gateway',
      noun: 'keys',
      verb: 'revoke',
      version: 1,
      summary: 'Revoke an API key at once and for good',
      http: { method: 'DELETE', path: '/v1/projects/{project}/keys/{key}' },
      permission: 'keys.write',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, key: keyId }),
      output: apiKeySchema.extend({
        pending: z
          .string()
          .nullable()
          .optional()
          .describe('Why NATS may still take credentials for it, in words; null once they are refused everywhere'),
      }),
      errors: [],
      idempotent: true,
      precondition: 'optional',
    }),
  },
  operatorKeys: {
    create: operation({
      ...operatorKey,
      verb: 'create',
      summary: 'Create an API key for the whole cluster; its secret is shown once',
      http: { method: 'POST', path: '/v1/keys', status: 201 },
      permission: 'cluster.write',
      input: z.strictObject(newKeyFields),
      output: keyWithSecret,
      errors: ['unprocessable'],
      idempotent: false,
    }),
    list: operation({
      ...operatorKey,
      verb: 'list',
      summary: 'List the API keys of the whole cluster, without their secrets',
      http: { method: 'GET', path: '/v1/keys' },
      permission: 'cluster.read',
      input: z.strictObject({ ...pageRequest }),
      output: pageOf(apiKeySchema),
      errors: [],
      idempotent: true,
    }),
    rotate: operation({
      ...operatorKey,
      verb: 'rotate',
      summary: 'Give an API key of the whole cluster a new secret; the one before works for a while longer',
      http: { method: 'POST', path: '/v1/keys/{key}/rotate' },
      permission: 'cluster.write',
      precondition: 'optional',
      input: z.strictObject({ key: keyId, overlapMs }),
      output: keyWithSecret,
      errors: ['conflict'],
      idempotent: false,
    }),
    revoke: operation({
      ...operatorKey,
      verb: 'revoke',
      summary: 'Revoke an API key of the whole cluster at once and for good; the last one that works is refused',
      http: { method: 'DELETE', path: '/v1/keys/{key}' },
      permission: 'cluster.write',
      precondition: 'optional',
      input: z.strictObject({ key: keyId }),
      output: apiKeySchema,
      errors: ['conflict'],
      idempotent: true,
    }),
  },
  quotas: {
    get: operation({
      service: 'gateway',
      noun: 'quotas',
      verb: 'get',
      version: 1,
      summary: 'Show how much a project may have, and how much of it there is',
      http: { method: 'GET', path: '/v1/projects/{project}/quotas' },
      permission: 'projects.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField }),
      output: projectQuotasSchema.extend({
        use: projectUseSchema,
        unavailable: z.array(z.string()).describe('Services that do not say now how much there is'),
      }),
      errors: [],
      idempotent: true,
    }),
    put: operation({
      service: 'gateway',
      noun: 'quotas',
      verb: 'put',
      version: 1,
      summary: 'Set how much a project may have; what is left out is not limited',
      http: { method: 'PUT', path: '/v1/projects/{project}/quotas' },
      permission: 'cluster.write',
      // The limits are replaced as a whole: two who change one each must not undo each other's.
      precondition: 'required',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, limits: projectLimitsSchema }),
      output: projectQuotasSchema,
      errors: [],
      idempotent: true,
    }),
  },
  audit: {
    list: operation({
      ...audit,
      verb: 'list',
      summary: 'List who has changed, or tried to change, what in a project, newest first',
      http: { method: 'GET', path: '/v1/projects/{project}/audit' },
      permission: 'audit.read',
      input: z.strictObject({ project: projectField, ...auditFilter, ...pageRequest }),
      output: pageOf(auditEntrySchema),
    }),
    listAll: operation({
      ...audit,
      verb: 'listAll',
      summary: 'List who has changed, or tried to change, what in the whole cluster, newest first',
      http: { method: 'GET', path: '/v1/audit' },
      permission: 'cluster.read',
      input: z.strictObject({ ...auditFilter, ...pageRequest }),
      output: pageOf(auditEntrySchema),
    }),
    export: operation({
      ...audit,
      verb: 'export',
      summary: "Download a project's audit log, oldest first, one JSON object on each line",
      http: { method: 'GET', path: '/v1/projects/{project}/audit/export', kind: 'download' },
      permission: 'audit.read',
      input: z.strictObject({ project: projectField, ...auditFilter }),
      output: ndjson,
    }),
    exportAll: operation({
      ...audit,
      verb: 'exportAll',
      summary: 'Download the audit log of the whole cluster, oldest first, one JSON object on each line',
      http: { method: 'GET', path: '/v1/audit/export', kind: 'download' },
      permission: 'cluster.read',
      input: z.strictObject({ ...auditFilter }),
      output: ndjson,
    }),
  },
  services: {
    list: operation({
      service: 'gateway',
      noun: 'services',
      verb: 'list',
      version: 1,
      summary: "List Alto's services, their versions and instances",
      http: { method: 'GET', path: '/v1/services' },
      permission: 'cluster.read',
      callers: ['gateway'],
      input: z.strictObject({}),
      output: z.object({ items: z.array(serviceStatusSchema) }),
      errors: [],
      idempotent: true,
    }),
  },
  events: {
    follow: operation({
      service: 'gateway',
      noun: 'events',
      verb: 'follow',
      version: 1,
      summary: 'Follow the events of a project as server-sent events; resumes after Last-Event-ID',
      http: { method: 'GET', path: '/v1/projects/{project}/events', kind: 'events' },
      permission: 'events.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField }),
      output: emptyOutput,
      errors: [],
      idempotent: true,
    }),
    followAll: operation({
      service: 'gateway',
      noun: 'events',
      verb: 'followAll',
      version: 1,
      summary: 'Follow the events of the whole cluster as server-sent events; resumes after Last-Event-ID',
      http: { method: 'GET', path: '/v1/events', kind: 'events' },
      permission: 'cluster.read',
      callers: ['gateway'],
      input: z.strictObject({}),
      output: emptyOutput,
      errors: [],
      idempotent: true,
    }),
  },
};

export const gatewayEvents = {
  projectCreated: event({
    service: 'gateway',
    noun: 'projects',
    verb: 'created',
    version: 1,
    summary: 'A project was created',
    data: projectSchema,
  }),
  quotasUpdated: event({
    service: 'gateway',
    noun: 'quotas',
    verb: 'updated',
    version: 1,
    summary: 'How much a project may have was set',
    data: projectQuotasSchema,
  }),
  keyCreated: event({
    service: 'gateway',
    noun: 'keys',
    verb: 'created',
    version: 1,
    summary: 'An API key was created',
    data: apiKeySchema,
  }),
  keyRotated: event({
    service: 'gateway',
    noun: 'keys',
    verb: 'rotated',
    version: 1,
    summary: 'An API key got a new secret',
    data: apiKeySchema,
  }),
  keyRevoked: event({
    service: 'gateway',
    noun: 'keys',
    verb: 'revoked',
    version: 1,
    summary: 'An API key was revoked',
    data: apiKeySchema,
  }),
};
