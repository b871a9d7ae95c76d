/** The error catalogue: each code is stable, says its HTTP status and whether trying again can help. */
import { z } from 'zod';

interface CatalogueEntry {
  readonly status: number;
  readonly title: string;
  /** The same request may succeed later without being changed. */
  readonly retryable: boolean;
}

export const errorCatalogue = {
  invalid_request: { status: 400, title: 'The request is not valid', retryable: false },
  unauthenticated: { status: 401, title: 'No valid API key was given', retryable: false },
  forbidden: { status: 403, title: 'The key may not do this', retryable: false },
  not_found: { status: 404, title: 'There is no such resource', retryable: false },
  method_not_allowed: { status: 405, title: 'The resource does not know this method', retryable: false },
  request_timeout: { status: 408, title: 'The request took too long to arrive', retryable: true },
  conflict: { status: 409, title: 'The change conflicts with the present state', retryable: false },
  already_exists: { status: 409, title: 'The name is taken', retryable: false },
  stale_writer: { status: 409, title: 'A newer writer has taken over', retryable: false },
  request_in_progress: { status: 409, title: 'The same request is still being worked on', retryable: true },
  precondition_failed: { status: 412, title: 'The resource has changed meanwhile', retryable: false },
  too_large: { status: 413, title: 'The request is too large', retryable: false },
  unsupported_media_type: { status: 415, title: 'The content type is not supported', retryable: false },
  checksum_mismatch: { status: 422, title: 'The content does not match its checksum', retryable: false },
  unprocessable: { status: 422, title: 'The content cannot be used', retryable: false },
  idempotency_key_reused: { status: 422, title: 'The idempotency key belongs to another request', retryable: false },
  precondition_required: { status: 428, title: 'The change needs a condition', retryable: false },
  quota_exceeded: { status: 429, title: 'A quota is used up', retryable: false },
  headers_too_large: { status: 431, title: 'The headers are too large', retryable: false },
  rate_limited: { status: 429, title: 'Too many requests', retryable: true },
  internal: { status: 500, title: 'Something in Alto failed', retryable: false },
  corrupt_data: { status: 500, title: 'Stored data failed its check', retryable: false },
  overloaded: { status: 503, title: 'The service has too much to do', retryable: true },
  service_unavailable: { status: 503, title: 'A service is not available', retryable: true },
  insufficient_storage: { status: 507, title: 'There is no space left', retryable: true },
  timeout: { status: 504, title: 'The service did not answer in time', retryable: true },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

/** Codes that any operation may answer with, whatever it declares. */
export const ambientErrorCodes = [
  'invalid_request',
  'unauthenticated',
  'forbidden',
  'not_found',
  'too_large',
  'rate_limited',
  'internal',
  'overloaded',
  'service_unavailable',
  'timeout',
] as const satisfies readonly ErrorCode[];

export interface ErrorFacts {
  /** One sentence for a person, without secrets. */
  readonly message: string;
  /** Path of the field at fault, e.g. `readiness.path`. */
  readonly field?: string;
  /** What the caller can do next, e.g. a command. */
  readonly nextStep?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The one error that crosses service boundaries. Anything else thrown is a bug and becomes `internal`. */
export class AltoError extends Error {
  override readonly name = 'AltoError';
  readonly field?: string;
  readonly nextStep?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  /** Trace of the request that failed, known once the error has crossed a boundary. */
  traceId?: string;

  constructor(
    readonly code: ErrorCode,
    facts: ErrorFacts | string,
    options?: ErrorOptions,
  ) {
    const { message, field, nextStep, details } =
      typeof facts === 'string' ? ({ message: facts } as ErrorFacts) : facts;
    super(message, options);
    if (field !== undefined) this.field = field;
    if (nextStep !== undefined) this.nextStep = nextStep;
    if (details !== undefined) this.details = details;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }
}

/** `application/problem+json` (RFC 9457): the body of every HTTP error, and the error envelope on NATS. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
  field: z.string().optional(),
  nextStep: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
  traceId: z.string().optional(),
});

export type Problem = z.infer<typeof problemSchema>;

export function toProblem(error: AltoError, traceId: string | undefined = error.traceId): Problem {
  return {
    type: `https://alto.dev/problems/${error.code.replaceAll('_', '-')}`,
    title: errorCatalogue[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    ...(error.field !== undefined && { field: error.field }),
    ...(error.nextStep !== undefined && { nextStep: error.nextStep }),
    ...(error.details !== undefined && { details: { ...error.details } }),
    ...(traceId !== undefined && { traceId }),
  };
}

/** Reads a problem made by any version of Alto; an unknown code becomes the nearest one by its status. */
export function fromProblem(value: unknown): AltoError {
  const parsed = problemSchema.safeParse(value);
  if (!parsed.success) return new AltoError('internal', 'The answer was an error that could not be read.');
  const { code, status, detail, field, nextStep, details, traceId } = parsed.data;
  const error = new AltoError(knownCode(code, status), { message: detail, field, nextStep, details });
  if (traceId !== undefined) error.traceId = traceId;
  return error;
}

function knownCode(code: string, status: number): ErrorCode {
  if (Object.hasOwn(errorCatalogue, code)) return code as ErrorCode;
  const nearest = Object.entries(errorCatalogue).find(([, entry]) => entry.status === status);
  return (nearest?.[0] as ErrorCode | undefined) ?? (status < 500 ? 'invalid_request' : 'internal');
}

/** The first failed check of a zod result as an `invalid_request` that names the field. */
export function invalidRequest(error: z.ZodError): AltoError {
  const issues = error.issues.slice(0, 10).map((issue) => ({ field: issuePath(issue), message: issue.message }));
  const first = issues[0] ?? { field: '', message: 'is not valid' };
  const field = first.field || undefined;
  return new AltoError('invalid_request', {
    message: field === undefined ? first.message : `${field}: ${first.message}`,
    field,
    details: { issues },
  });
}

function issuePath(issue: z.core.$ZodIssue): string {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys' && issue.keys[0] !== undefined) path.push(issue.keys[0]);
  return path.join('.');
}
