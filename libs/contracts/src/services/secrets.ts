import { z } from 'zod';
import { event } from '../event';
import { pageOf, pageRequest, projectField, timeField } from '../fields';
import { idOf } from '../ids';
import { operation } from '../operation';

/** Bytes of a secret's value in UTF-8: what fits well into the environment of a process. */
export const secretValueBytesMax = 32_768;

/** A secret is named as the environment variable that it becomes. */
export const secretName = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be letters, digits and underscores, and not begin with a digit')
  .refine((name) => !['PORT', 'HOST'].includes(name) && !name.startsWith('ALTO_'), 'is a name that Alto sets itself');

/** What is known of a secret. Its value is never returned, and neither is anything made of it. */
export const secretSchema = z.object({
  id: idOf('secret'),
  project: idOf('project'),
  name: z.string(),
  /** Grows with each new value. */
  version: z.number().int(),
  createdAt: timeField,
  updatedAt: timeField,
});
export type Secret = z.infer<typeof secretSchema>;

const secretAddress = { project: projectField, secret: secretName };
const path = '/v1/projects/{project}/secrets/{secret}';

export const secretOperations = {
  put: operation({
    service: 'compute',
    noun: 'secrets',
    verb: 'put',
    version: 1,
    summary: 'Set a secret; the apps that use it are rolled to the new value',
    http: { method: 'PUT', path },
    permission: 'secrets.write',
    callers: ['gateway'],
    input: z.strictObject({
      ...secretAddress,
      value: z
        .string()
        .min(1, 'must not be empty')
        .max(secretValueBytesMax)
        .refine((value) => !value.includes('\0'), 'must not hold a NUL character, which no program could be given')
        .refine(
          (value) => new TextEncoder().encode(value).length <= secretValueBytesMax,
          `must be ${secretValueBytesMax} bytes at most`,
        )
        .describe('Kept sealed and never returned'),
    }),
    output: secretSchema,
    errors: ['conflict', 'unprocessable', 'quota_exceeded'],
    idempotent: true,
    precondition: 'optional',
  }),
  get: operation({
    service: 'compute',
    noun: 'secrets',
    verb: 'get',
    version: 1,
    summary: 'Show what is known of a secret, without its value',
    http: { method: 'GET', path },
    permission: 'secrets.read',
    callers: ['gateway'],
    input: z.strictObject(secretAddress),
    output: secretSchema,
    errors: [],
    idempotent: true,
  }),
  list: operation({
    service: 'compute',
    noun: 'secrets',
    verb: 'list',
    version: 1,
    summary: 'List the secrets of a project, without their values',
    http: { method: 'GET', path: '/v1/projects/{project}/secrets' },
    permission: 'secrets.read',
    callers: ['gateway'],
    input: z.strictObject({ project: projectField, ...pageRequest }),
    output: pageOf(secretSchema),
    errors: [],
    idempotent: true,
  }),
  delete: operation({
    service: 'compute',
    noun: 'secrets',
    verb: 'delete',
    version: 1,
    summary: 'Delete a secret and all its values; refused while an app uses it',
    http: { method: 'DELETE', path },
    permission: 'secrets.write',
    callers: ['gateway'],
    input: z.strictObject(secretAddress),
    output: secretSchema,
    errors: ['conflict'],
    idempotent: true,
    precondition: 'optional',
  }),
};

export const masterKeyStates = ['sealing', 'spreading', 'opening', 'missing'] as const;

/** A key that seals secrets, by what tells it from others and nothing about it. */
export const masterKeySchema = z.object({
  id: z.string(),
  /** `spreading` will seal once every machine has it; `missing` has sealed values and is not there to open them. */
  state: z.enum(masterKeyStates),
  /** Values in the database that only this key opens. */
  values: z.number().int(),
  /** Machines that could not start all of their instances without it. */
  machines: z.number().int(),
  /** Without it something could not be sealed or opened: it must not be taken away. */
  inUse: z.boolean(),
  reason: z.string(),
});
export type MasterKey = z.infer<typeof masterKeySchema>;

export const masterKeyOperations = {
  list: operation({
    service: 'compute',
    noun: 'masterkeys',
    verb: 'list',
    version: 1,
    summary: 'List the keys that seal secrets, oldest first, and how far their rotation is; never the keys themselves',
    http: { method: 'GET', path: '/v1/master-keys' },
    permission: 'cluster.read',
    callers: ['gateway'],
    input: z.strictObject({ ...pageRequest }),
    output: pageOf(masterKeySchema),
    errors: [],
    idempotent: true,
  }),
  inspect: operation({
    service: 'compute',
    noun: 'masterkeys',
    verb: 'inspect',
    version: 1,
    summary: 'An agent learns whether a key of its machine is needed still, before it takes it away',
    permission: 'internal',
    callers: ['node-agent'],
    input: z.strictObject({}),
    output: z.object({ items: z.array(masterKeySchema) }),
    errors: [],
    idempotent: true,
  }),
};

const secretEventData = z.object({ secret: secretSchema });

export const secretEvents = {
  secretUpdated: event({
    service: 'compute',
    noun: 'secrets',
    verb: 'updated',
    version: 1,
    summary: 'A secret was set to a new value',
    data: secretEventData,
  }),
  secretDeleted: event({
    service: 'compute',
    noun: 'secrets',
    verb: 'deleted',
    version: 1,
    summary: 'A secret and all its values were deleted',
    data: secretEventData,
  }),
};
