/** The contracts as plain data: what is announced to the gateway, what the API reference is made of, what the golden file keeps. */
import { z } from 'zod';
import type { ErrorCode } from './errors';
import type { EventType } from './event';
import { type HttpRoute, type Operation, type ServiceName, takesDryRun } from './operation';
import type { RequiredPermission } from './permissions';

export type JsonSchema = { readonly [keyword: string]: unknown };

export interface OperationSnapshot {
  readonly name: string;
  readonly service: ServiceName;
  readonly subject: string;
  readonly version: number;
  readonly summary: string;
  readonly http?: HttpRoute;
  readonly permission: RequiredPermission;
  readonly callers: readonly ServiceName[];
  readonly errors: readonly ErrorCode[];
  readonly idempotent: boolean;
  readonly precondition?: 'optional' | 'required';
  readonly callerField?: string;
  /** The operation takes `dryRun=true`. */
  readonly dryRun?: true;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
}

export interface EventSnapshot {
  readonly type: string;
  readonly version: number;
  readonly summary: string;
  readonly data: JsonSchema;
}

export interface ContractSnapshot {
  readonly operations: Readonly<Record<string, OperationSnapshot>>;
  readonly events: Readonly<Record<string, EventSnapshot>>;
}

export function snapshotOperation(operation: Operation): OperationSnapshot {
  const { name, service, subject, version, summary, http, permission, callers, errors, idempotent, precondition } =
    operation;
  return {
    name,
    service,
    subject,
    version,
    summary,
    ...(http !== undefined && { http }),
    permission,
    callers,
    errors,
    idempotent,
    ...(precondition !== undefined && { precondition }),
    ...(operation.callerField !== undefined && { callerField: operation.callerField }),
    ...(takesDryRun(operation) && { dryRun: true as const }),
    input: jsonSchema(operation.input, 'input'),
    output: jsonSchema(operation.output, 'output'),
  };
}

export function snapshotContracts(operations: readonly Operation[], events: readonly EventType[]): ContractSnapshot {
  const byKey = <T>(entries: [string, T][]) => Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    operations: byKey(operations.map((each) => [`${each.name}@${each.version}`, snapshotOperation(each)])),
    events: byKey(events.map((each) => [`${each.type}@${each.version}`, snapshotEvent(each)])),
  };
}

function snapshotEvent({ type, version, summary, data }: EventType): EventSnapshot {
  return { type, version, summary, data: jsonSchema(data, 'output') };
}

/** JSON Schema 2020-12. `input` is what a caller may send (fields with a default are optional), `output` what it gets. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  return z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' }) as JsonSchema;
}
