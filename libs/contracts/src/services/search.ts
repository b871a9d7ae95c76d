import { z } from 'zod';
import { event } from '../event';
import { nameField, pageOf, pageRequest, projectField, timeField } from '../fields';
import { operation } from '../operation';

const documentKey = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[A-Za-z0-9._~-]+$/, 'must be letters, digits and . _ ~ -')
  .describe('Id of the document within its index, chosen by the caller');

export const documentSchema = z.object({
  index: nameField,
  document: documentKey,
  fields: z.record(z.string(), z.unknown()),
  version: z.number().int(),
  updatedAt: timeField,
});
export type SearchDocument = z.infer<typeof documentSchema>;

export const hitSchema = z.object({
  document: documentKey,
  /** Higher fits better; comparable within one answer only. */
  score: z.number(),
  fields: z.record(z.string(), z.unknown()),
});

const indexAddress = { project: projectField, index: nameField };
const documentAddress = { ...indexAddress, document: documentKey };

export const searchOperations = {
  documents: {
    put: operation({
      service: 'search',
      noun: 'documents',
      verb: 'put',
      version: 1,
      summary: 'Index a document, replacing the one with the same id; the index is made with its first document',
      http: { method: 'PUT', path: '/v1/projects/{project}/indexes/{index}/documents/{document}' },
      permission: 'indexes.write',
      callers: ['gateway'],
      input: z.strictObject({
        ...documentAddress,
        fields: z.record(z.string().min(1).max(100), z.json()).describe('The document, 256 KiB of JSON at most'),
      }),
      output: documentSchema,
      errors: [],
      idempotent: true,
      precondition: 'optional',
    }),
    get: operation({
      service: 'search',
      noun: 'documents',
      verb: 'get',
      version: 1,
      summary: 'Show a document',
      http: { method: 'GET', path: '/v1/projects/{project}/indexes/{index}/documents/{document}' },
      permission: 'indexes.read',
      callers: ['gateway'],
      input: z.strictObject(documentAddress),
      output: documentSchema,
      errors: [],
      idempotent: true,
    }),
    delete: operation({
      service: 'search',
      noun: 'documents',
      verb: 'delete',
      version: 1,
      summary: 'Delete a document',
      http: { method: 'DELETE', path: '/v1/projects/{project}/indexes/{index}/documents/{document}' },
      permission: 'indexes.write',
      callers: ['gateway'],
      input: z.strictObject(documentAddress),
      output: z.object({}),
      errors: [],
      idempotent: true,
      precondition: 'optional',
    }),
  },
  hits: {
    list: operation({
      service: 'search',
      noun: 'hits',
      verb: 'list',
      version: 1,
      summary: 'Find documents that hold the words, best first',
      http: { method: 'GET', path: '/v1/projects/{project}/indexes/{index}/search' },
      permission: 'indexes.read',
      callers: ['gateway'],
      input: z.strictObject({
        ...indexAddress,
        q: z.string().min(1).max(1_000).describe('Words to look for'),
        ...pageRequest,
      }),
      output: pageOf(hitSchema),
      errors: [],
      idempotent: true,
    }),
  },
};

export const searchEvents = {
  documentIndexed: event({
    service: 'search',
    noun: 'documents',
    verb: 'indexed',
    version: 1,
    summary: 'A document was indexed',
    data: documentSchema.omit({ fields: true }),
  }),
  documentDeleted: event({
    service: 'search',
    noun: 'documents',
    verb: 'deleted',
    version: 1,
    summary: 'A document was deleted',
    data: z.object({ index: nameField, document: documentKey }),
  }),
};
