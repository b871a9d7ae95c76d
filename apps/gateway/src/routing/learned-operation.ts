/**
 * An operation as its service announced it. It is all that the gateway knows of it: the contracts compiled into the
 * gateway are never asked, so that a service may be newer than the gateway.
 */
import { z } from 'zod';
import { serviceNames } from '@alto/contracts';
import { parametersOf } from './router';

const jsonSchema = z.record(z.string(), z.unknown());
export type JsonSchema = Readonly<Record<string, unknown>>;

const httpRoute = z.object({
  method: z.enum(['GET', 'PUT', 'POST', 'PATCH', 'DELETE']),
  path: z.string().max(300).startsWith('/v1/').refine(isTemplate, 'is not a template the router can serve'),
  status: z.number().int().min(200).max(299).optional(),
  kind: z.enum(['json', 'upload', 'download', 'events']).optional(),
  query: z.array(z.string()).optional(),
});

export const learnedOperationSchema = z
  .object({
    service: z.enum(serviceNames),
    name: z.string().max(200),
    subject: z
      .string()
      .max(200)
      .regex(/^[\w.-]+$/),
    version: z.number().int(),
    summary: z.string(),
    http: httpRoute,
    permission: z.string(),
    input: jsonSchema,
    output: jsonSchema,
    errors: z.array(z.string()),
    idempotent: z.boolean(),
    precondition: z.enum(['optional', 'required']).optional(),
    dryRun: z.literal(true).optional(),
  })
  .refine(({ service, name }) => name.startsWith(`${service}.`), "is not in the service's own namespace")
  .refine(({ service, subject }) => subject.startsWith(`alto.rpc.${service}.`), "is not in the service's own namespace")
  // The gateway streams events itself, and by the path alone it tells whose: nobody else may say where.
  .refine(({ service, http }) => http.kind !== 'events' || service === 'gateway', 'only the gateway streams events');

export type LearnedOperation = z.infer<typeof learnedOperationSchema>;

export function kindOf(operation: LearnedOperation): 'json' | 'upload' | 'download' | 'events' {
  return operation.http.kind ?? 'json';
}

/** Input fields that come from the path. */
export function pathFieldsOf(operation: LearnedOperation): string[] {
  return parametersOf(operation.http.path);
}

/** The body, if any, is JSON: fields of the input that are neither in the path nor in the query. */
export function takesJsonBody(operation: LearnedOperation): boolean {
  return kindOf(operation) === 'json' && !['GET', 'DELETE'].includes(operation.http.method);
}

/** Schemas of the input's fields by name; empty for an input that has none. */
export function fieldSchemasOf(operation: LearnedOperation): Record<string, JsonSchema> {
  return (operation.input.properties ?? {}) as Record<string, JsonSchema>;
}

function isTemplate(path: string): boolean {
  try {
    parametersOf(path);
    return true;
  } catch {
    return false;
  }
}
