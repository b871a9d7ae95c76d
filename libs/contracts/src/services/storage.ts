import { z } from 'zod';
import { event } from '../event';
import { pageOf, pageRequest, projectField, timeField } from '../fields';
import { idOf } from '../ids';
import { operation } from '../operation';
import { usageOperation } from '../quotas';

export const bundleSchema = z.object({
  id: idOf('bundle'),
  project: idOf('project'),
  /** Of the tar.gz file, lower-case hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  sizeBytes: z.number().int(),
  version: z.number().int(),
  createdAt: timeField,
});
export type Bundle = z.infer<typeof bundleSchema>;

const bundleAddress = { project: projectField, bundle: idOf('bundle') };

export const storageOperations = {
  usage: { get: usageOperation('storage') },
  bundles: {
    upload: operation({
      service: 'storage',
      noun: 'bundles',
      verb: 'upload',
      version: 1,
      summary: "Upload an app's files as a tar.gz; the same content gives the same bundle",
      http: { method: 'POST', path: '/v1/projects/{project}/bundles', status: 201, kind: 'upload', query: ['sha256'] },
      permission: 'bundles.write',
      callers: ['gateway'],
      input: z.strictObject({
        project: projectField,
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
          .optional()
          .describe('What the content must hash to'),
      }),
      output: bundleSchema,
      errors: [
        'checksum_mismatch',
        'unprocessable',
        'quota_exceeded',
        'insufficient_storage',
        'unsupported_media_type',
        'idempotency_key_reused',
      ],
      idempotent: true,
    }),
    get: operation({
      service: 'storage',
      noun: 'bundles',
      verb: 'get',
      version: 1,
      summary: 'Show a bundle',
      http: { method: 'GET', path: '/v1/projects/{project}/bundles/{bundle}' },
      permission: 'bundles.read',
      callers: ['gateway', 'compute'],
      input: z.strictObject(bundleAddress),
      output: bundleSchema,
      errors: [],
      idempotent: true,
    }),
    list: operation({
      service: 'storage',
      noun: 'bundles',
      verb: 'list',
      version: 1,
      summary: 'List the bundles of a project, newest first',
      http: { method: 'GET', path: '/v1/projects/{project}/bundles' },
      permission: 'bundles.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, ...pageRequest }),
      output: pageOf(bundleSchema),
      errors: [],
      idempotent: true,
    }),
    download: operation({
      service: 'storage',
      noun: 'bundles',
      verb: 'download',
      version: 1,
      summary: 'Download the tar.gz of a bundle',
      http: { method: 'GET', path: '/v1/projects/{project}/bundles/{bundle}/content', kind: 'download' },
      permission: 'bundles.read',
      callers: ['gateway'],
      input: z.strictObject(bundleAddress),
      output: z.object({}),
      errors: ['corrupt_data'],
      idempotent: true,
    }),
    locate: operation({
      service: 'storage',
      noun: 'bundles',
      verb: 'locate',
      version: 1,
      summary: 'Give an agent a short-lived address from which to fetch a bundle',
      permission: 'internal',
      callers: ['node-agent'],
      input: z.object({ project: idOf('project'), bundle: idOf('bundle') }),
      output: z.object({ url: z.string(), sha256: z.string(), sizeBytes: z.number().int(), expiresAt: timeField }),
      errors: [],
      idempotent: true,
    }),
  },
};

export const storageEvents = {
  bundleCreated: event({
    service: 'storage',
    noun: 'bundles',
    verb: 'created',
    version: 1,
    summary: 'A bundle was uploaded',
    data: bundleSchema,
  }),
};
