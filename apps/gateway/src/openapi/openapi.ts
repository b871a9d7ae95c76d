/** Builds the OpenAPI 3.1 document from learned operations: pure. */
import { ambientErrorCodes, type ErrorCode, errorCatalogue, problemSchema } from '@alto/contracts';
import { z } from 'zod';
import { showsVersion } from '../preconditions/entity-tag';
import {
  fieldSchemasOf,
  type JsonSchema,
  kindOf,
  type LearnedOperation,
  pathFieldsOf,
  takesJsonBody,
} from '../routing/learned-operation';

type Json = Record<string, unknown>;

export interface OpenApiDocument extends Json {
  openapi: string;
  paths: Record<string, Json>;
  components: { schemas: Record<string, unknown> } & Json;
}

export function buildDocument(operations: readonly LearnedOperation[], version: string): OpenApiDocument {
  const schemas: Record<string, unknown> = { Problem: withoutDialect(z.toJSONSchema(problemSchema)) };
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const path = (paths[operation.http.path] ??= {});
    path[operation.http.method.toLowerCase()] = describe(operation, schemas);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Alto',
      version,
      summary: "A cloud operating system for a team's own machines",
      description: 'Assembled from the operations that the services announce. Errors are problem details (RFC 9457).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ apiKey: [] }],
    tags: [...new Set(operations.map(({ service }) => service))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key: alto_<id>_<secret>' } },
      schemas,
    },
  };
}

function describe(operation: LearnedOperation, schemas: Record<string, unknown>): Json {
  const input = hoist(operation.input, `${operation.name}.input`, schemas);
  const shape = { ...operation, input };
  const body = requestBody(shape);
  return {
    operationId: operation.name,
    tags: [operation.service],
    summary: operation.summary,
    'x-alto-permission': operation.permission,
    'x-alto-idempotent': operation.idempotent,
    parameters: [...parameters(shape), ...terms(operation)],
    ...(body && { requestBody: body }),
    responses: { ...success(operation, schemas), ...failures(operation) },
  };
}

function parameters(operation: LearnedOperation): Json[] {
  const schemas = fieldSchemasOf(operation);
  const required = requiredOf(operation.input);
  const inPath = pathFieldsOf(operation);
  const rest = Object.keys(schemas).filter((field) => !inPath.includes(field));
  const inQuery = takesJsonBody(operation) ? rest.filter((field) => operation.http.query?.includes(field)) : rest;
  return [
    ...inPath.map((name) => ({ name, in: 'path', required: true, schema: schemas[name] ?? { type: 'string' } })),
    ...inQuery.map((name) => ({ name, in: 'query', required: required.has(name), schema: schemas[name] })),
  ];
}

/** What a request may say beside the operation's own input. */
function terms(operation: LearnedOperation): Json[] {
  const { precondition, dryRun, http } = operation;
  const isOwnField = Object.hasOwn(fieldSchemasOf(operation), 'dryRun');
  return [
    ...(kindOf(operation) === 'events'
      ? [header('Last-Event-ID', 'Position of the last event seen: the stream resumes after it')]
      : []),
    ...(precondition === undefined ? [] : [header('If-Match', ifMatchText, precondition === 'required')]),
    ...(precondition !== undefined && http.method === 'PUT'
      ? [header('If-None-Match', '`*`: only if there is no such resource yet; else 412')]
      : []),
    ...(takesIdempotencyKey(operation) ? [header('Idempotency-Key', idempotencyText)] : []),
    ...(dryRun === true && !isOwnField
      ? [{ name: 'dryRun', in: 'query', required: false, description: dryRunText, schema: { type: 'boolean' } }]
      : []),
  ];
}

const ifMatchText = 'ETag of the version that is to be changed; 412 when the resource is of another one';
const idempotencyText = 'Any text of your own, such as a UUID: a repetition within 24 hours gets the first answer';
const dryRunText = 'true changes nothing and answers as if it were done';

function header(name: string, description: string, required = false): Json {
  return { name, in: 'header', required, description, schema: { type: 'string' } };
}

/** A POST may do another thing the second time. */
function takesIdempotencyKey(operation: LearnedOperation): boolean {
  return ['POST', 'PATCH'].includes(operation.http.method);
}

function requestBody(operation: LearnedOperation): Json | undefined {
  if (kindOf(operation) === 'upload') return { required: true, content: { 'application/octet-stream': {} } };
  if (!takesJsonBody(operation)) return undefined;
  const elsewhere = new Set([...pathFieldsOf(operation), ...(operation.http.query ?? [])]);
  const fields = Object.entries(fieldSchemasOf(operation)).filter(([field]) => !elsewhere.has(field));
  const required = [...requiredOf(operation.input)].filter((field) => !elsewhere.has(field));
  const { additionalProperties } = operation.input;
  const schema = {
    type: 'object',
    properties: Object.fromEntries(fields),
    ...(required.length > 0 && { required }),
    ...(additionalProperties !== undefined && { additionalProperties }),
  };
  return { required: required.length > 0, content: { 'application/json': { schema } } };
}

function success(operation: LearnedOperation, schemas: Record<string, unknown>): Json {
  const status = String(operation.http.status ?? 200);
  const kind = kindOf(operation);
  if (kind === 'download')
    return { [status]: { description: 'The content', content: { 'application/octet-stream': {} } } };
  if (kind === 'events') {
    const content = { 'text/event-stream': { schema: { type: 'string' } } };
    return { [status]: { description: 'Server-sent events; the data of each is a CloudEvent in JSON', content } };
  }
  const schema = hoist(operation.output, `${operation.name}.output`, schemas);
  const etag = { description: 'Version of the resource, for If-Match', schema: { type: 'string' } };
  const headers = showsVersion(operation) ? { headers: { ETag: etag } } : {};
  return { [status]: { description: 'Done', ...headers, content: { 'application/json': { schema } } } };
}

function failures(operation: LearnedOperation): Json {
  const ofTerms: ErrorCode[] = [
    ...(operation.precondition === undefined ? [] : (['precondition_failed'] as const)),
    ...(operation.precondition === 'required' ? (['precondition_required'] as const) : []),
    ...(takesIdempotencyKey(operation) ? (['request_in_progress', 'idempotency_key_reused'] as const) : []),
  ];
  const codes = [...new Set([...ambientErrorCodes, ...ofTerms, ...operation.errors])].filter((code) =>
    Object.hasOwn(errorCatalogue, code),
  );
  const byStatus = Map.groupBy(codes as ErrorCode[], (code) => errorCatalogue[code].status);
  const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => {
      const description = group.map((code) => `${code}: ${errorCatalogue[code].title}`).join('; ');
      return [String(status), { description, content }];
    }),
  );
}

/** Moves a schema's own definitions to the document's components, where its references can find them. */
function hoist(schema: JsonSchema, name: string, schemas: Record<string, unknown>): JsonSchema {
  const { $defs = {}, ...rest } = withoutDialect(schema);
  const prefix = `#/components/schemas/${name}.`;
  for (const [key, definition] of Object.entries($defs as Json))
    schemas[`${name}.${safe(key)}`] = relink(definition, prefix);
  return relink(rest, prefix) as JsonSchema;
}

function relink(value: unknown, prefix: string): unknown {
  if (Array.isArray(value)) return value.map((item) => relink(item, prefix));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const local = key === '$ref' && typeof inner === 'string' ? /^#\/\$defs\/(.+)$/.exec(inner)?.[1] : undefined;
      return [key, local === undefined ? relink(inner, prefix) : prefix + safe(local)];
    }),
  );
}

function safe(key: string): string {
  return key.replace(/[^A-Za-z0-9._-]/g, '_');
}

function withoutDialect(schema: object): Json {
  const { $schema: _, ...rest } = schema as Json;
  return rest;
}

function requiredOf(schema: JsonSchema): Set<string> {
  return new Set((schema.required ?? []) as string[]);
}
