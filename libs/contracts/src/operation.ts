/**
 * One declaration per operation. The NATS subject, the handler's types, the gateway's route, the OpenAPI
 * document, the sdk, the command's help and the NATS permissions all derive from it.
 */
import { z } from 'zod';
import type { ErrorCode } from './errors';
import type { RequiredPermission } from './permissions';

export const serviceNames = [
  'gateway',
  'compute',
  'node-agent',
  'storage',
  'load-balancer',
  'notifications',
  'search',
] as const;

export type ServiceName = (typeof serviceNames)[number];

export type HttpMethod = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

export interface HttpRoute {
  readonly method: HttpMethod;
  /** Template with `{name}` for each path parameter, e.g. `/v1/projects/{project}/apps/{app}`. */
  readonly path: string;
  /** Status of success; 200 unless given. */
  readonly status?: number;
  /**
   * `json`: input and output are JSON and travel over NATS. `upload` and `download`: the body is streamed between
   * the gateway and the service over HTTP and never touches NATS. `events`: server-sent events, by the gateway itself.
   */
  readonly kind?: 'json' | 'upload' | 'download' | 'events';
  /** Input fields of a PUT, POST or PATCH that come from the query string. GET and DELETE take all from there. */
  readonly query?: readonly string[];
}

export interface OperationDeclaration<I extends z.ZodObject, O extends z.ZodType> {
  readonly service: ServiceName;
  /** Plural resource, e.g. `apps`. */
  readonly noun: string;
  /** e.g. `put`, `get`, `list`, `delete`, `sync`. */
  readonly verb: string;
  readonly version: number;
  /** One sentence, shown in the API reference and in the command's help. */
  readonly summary: string;
  /** Left out for operations between services. */
  readonly http?: HttpRoute;
  readonly permission: RequiredPermission;
  /** Services that may call it; `gateway` stands for users. */
  readonly callers: readonly ServiceName[];
  /** One flat object: path parameters, query and body fields together. */
  readonly input: I;
  readonly output: O;
  /** Codes beyond the ambient ones. */
  readonly errors: readonly ErrorCode[];
  /** Doing it twice has the effect of doing it once, so that a lost answer may be retried. */
  readonly idempotent: boolean;
  /**
   * It changes one resource that has a `version`, and compares it with the caller's `If-Match`; where `required`, a
   * change without that header is refused. Left out: `If-Match` is refused.
   */
  readonly precondition?: 'optional' | 'required';
  /** `false` for a change that cannot be tried without being done. All others take `dryRun=true`. */
  readonly dryRun?: false;
  /** The operation is addressed to one instance: its id is the last token of the subject. */
  readonly perInstance?: boolean;
  /**
   * Input field in which a caller says who it is. Its value is the last token of the subject, where NATS lets each caller
   * publish as itself alone.
   */
  readonly callerField?: string;
}

export interface Operation<
  I extends z.ZodObject = z.ZodObject,
  O extends z.ZodType = z.ZodType,
> extends OperationDeclaration<I, O> {
  /** `<service>.<noun>.<verb>`, e.g. `compute.apps.put`. */
  readonly name: string;
  /** `alto.rpc.<service>.v<version>.<noun>.<verb>`. */
  readonly subject: string;
}

export type InputOf<T extends Operation> = z.output<T['input']>;
/** What a caller may leave out: fields with a default are optional. */
export type RequestOf<T extends Operation> = z.input<T['input']>;
export type OutputOf<T extends Operation> = z.output<T['output']>;

/** Declares an operation. @throws Error when the declaration contradicts itself: that fails at load, in every test. */
export function operation<I extends z.ZodObject, O extends z.ZodType>(
  declaration: OperationDeclaration<I, O>,
): Operation<I, O> {
  const { service, noun, verb, version, http, callers, permission, input, precondition, callerField } = declaration;
  const name = `${service}.${noun}.${verb}`;
  if (callers.length === 0) throw new Error(`${name}: name at least one caller`);
  if (callers.includes('gateway') !== (http !== undefined)) {
    throw new Error(`${name}: an operation has an http route exactly when the gateway calls it`);
  }
  if ((permission === 'internal') === (http !== undefined)) {
    throw new Error(`${name}: 'internal' is for operations without an http route`);
  }
  if (precondition !== undefined && !isChange(declaration)) {
    throw new Error(`${name}: a precondition is for an operation that changes something over HTTP`);
  }
  const named = [...pathParameters(http?.path ?? ''), ...(http?.query ?? []), ...(callerField ? [callerField] : [])];
  for (const field of named) {
    if (!Object.hasOwn(input.shape, field)) throw new Error(`${name}: input has no field '${field}'`);
  }
  return Object.freeze({ ...declaration, name, subject: `alto.rpc.${service}.v${version}.${noun}.${verb}` });
}

/** Names in the template, in order: `/v1/projects/{project}` → `['project']`. */
export function pathParameters(path: string): string[] {
  return Array.from(path.matchAll(/\{([a-zA-Z]+)\}/g), (match) => match[1] ?? '');
}

/** The operation is about one project, named by the path parameter `project`. */
export function isProjectScoped(operation: Pick<Operation, 'http'>): boolean {
  return operation.http !== undefined && pathParameters(operation.http.path).includes('project');
}

/** A user's request that may change something, as its method says. */
export function isChange(operation: Pick<Operation, 'http'>): boolean {
  return operation.http !== undefined && operation.http.method !== 'GET';
}

/** What would happen can be asked without it happening. */
export function takesDryRun(operation: Pick<Operation, 'http' | 'dryRun'>): boolean {
  return isChange(operation) && operation.dryRun !== false;
}

/**
 * Subject of one request.
 * @param addressee instance that it is for, or who the caller is, where the operation is told apart by one of them
 */
export function subjectOf(operation: Operation, addressee?: string): string {
  if (!isAddressed(operation)) return operation.subject;
  if (addressee === undefined)
    throw new Error(`${operation.name}: say ${operation.perInstance ? 'which instance' : 'who calls'}`);
  return `${operation.subject}.${addressee}`;
}

/** Its requests have one more token in their subject. */
export function isAddressed({ perInstance, callerField }: Pick<Operation, 'perInstance' | 'callerField'>): boolean {
  return perInstance === true || callerField !== undefined;
}
