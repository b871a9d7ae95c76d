/** Builds the OpenAPI 3.1 document from learned operations: pure. */
import { ambientErrorCodes, type ErrorCode, errorCatalogue, problemSchema } from '@alto/contracts';
import { z } from 'zod';
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
    parameters: [...parameters(shape), ...headers(operation)],
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

function headers(operation: LearnedOperation): Json[] {
  if (kindOf(operation) !== 'events') return [];
  const description = 'Position of the last event seen: the stream resumes after it';
  return [{ name: 'Last-Event-ID', in: 'header', required: false, description, schema: { type: 'string' } }];
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
  return { [status]: { description: 'Done', content: { 'application/json': { schema } } } };
}

function failures(operation: LearnedOperation): Json {
  const codes = [...new Set([...ambientErrorCodes, ...operation.errors])].filter((code) =>
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
