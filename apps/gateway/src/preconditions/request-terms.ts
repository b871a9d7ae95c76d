/** On which terms a request asks for a change: under a condition, as a trial, once. Pure. */
import type { IncomingHttpHeaders } from 'node:http';
import { AltoError } from '@alto/contracts';
import type { CallTerms } from '@alto/platform';
import { fieldSchemasOf, type LearnedOperation } from '../routing/learned-operation';

export interface RequestTerms {
  readonly terms: CallTerms;
  /** Of a POST that is to be done once. */
  readonly idempotencyKey?: string;
  /** Without what belongs to the terms. */
  readonly query: URLSearchParams;
}

const entityTagsMax = 20;
/** No resource is ever changed as often. */
const versionOfNothing = 999_999_999_999_999;

/** @throws AltoError invalid_request for terms that cannot be read or kept; precondition_required where one is missing */
export function requestTerms(
  operation: LearnedOperation,
  headers: IncomingHttpHeaders,
  query: URLSearchParams,
): RequestTerms {
  if (operation.http.method === 'GET') return { terms: {}, query };
  const ifMatch = readIfMatch(operation, headers['if-match']);
  const ifNoneMatch = readIfNoneMatch(operation, headers['if-none-match']);
  if (operation.precondition === 'required' && ifMatch === undefined && ifNoneMatch === undefined) {
    throw new AltoError('precondition_required', {
      message: 'This resource is changed under a condition only, so that nobody overwrites what another one has set.',
      field: 'If-Match',
      nextStep:
        'Read the resource and send the ETag of the answer along as If-Match, or If-None-Match: * to create it.',
    });
  }
  const dryRun = readDryRun(operation, query);
  const idempotencyKey = dryRun === true ? undefined : readIdempotencyKey(operation, headers['idempotency-key']);
  return {
    terms: { ifMatch, ifNoneMatch, dryRun },
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    query: dryRun === undefined || declaresDryRun(operation) ? query : without(query, 'dryRun'),
  };
}

/** ETags are `"<version>"`: the quotes may be left out, `W/` may not be there (RFC 9110, 13.1.1). */
function readIfMatch(operation: LearnedOperation, header: string | undefined): CallTerms['ifMatch'] {
  if (header === undefined) return undefined;
  refuseUnlessTaken(operation, 'If-Match');
  if (header.trim() === '*') return '*';
  const tags = header.split(',').map((tag) => /^\s*(?:"([^"]*)"|(\d+))\s*$/.exec(tag));
  if (tags.length > entityTagsMax || tags.some((tag) => tag === null)) {
    throw invalid('If-Match', 'must be an ETag such as "3", several separated by commas, or *');
  }
  return tags.map((tag) => versionOf(tag?.[1] ?? tag?.[2] ?? ''));
}

/** A tag that is no version matches nothing. */
function versionOf(tag: string): number {
  return /^\d{1,15}$/.test(tag) ? Number(tag) : versionOfNothing;
}

function readIfNoneMatch(operation: LearnedOperation, header: string | undefined): '*' | undefined {
  if (header === undefined) return undefined;
  refuseUnlessTaken(operation, 'If-None-Match');
  if (header.trim() === '*' && operation.http.method === 'PUT') return '*';
  throw invalid('If-None-Match', 'must be * and stand on a PUT, which then creates and never replaces');
}

/** An instance of an older release would not look at it, and change the resource all the same. */
function refuseUnlessTaken(operation: LearnedOperation, field: string): void {
  if (operation.precondition === undefined) {
    throw invalid(field, `is not taken by ${operation.name}, which compares nothing`, 'Leave it out.');
  }
}

/** @returns undefined where the query does not mention it */
function readDryRun(operation: LearnedOperation, query: URLSearchParams): boolean | undefined {
  const values = query.getAll('dryRun');
  if (values.length === 0) return undefined;
  const [value] = values;
  if (values.length > 1 || (value !== 'true' && value !== 'false')) throw invalid('dryRun', 'must be true or false');
  if (value === 'true' && operation.dryRun !== true) {
    throw invalid('dryRun', `${operation.name} cannot be tried without being done`, 'Leave dryRun out.');
  }
  return value === 'true';
}

/** The operation answers a trial in its own way, e.g. with a plan. */
function declaresDryRun(operation: LearnedOperation): boolean {
  return Object.hasOwn(fieldSchemasOf(operation), 'dryRun');
}

/** PUT and DELETE need none: to do them twice is to do them once. */
function readIdempotencyKey(operation: LearnedOperation, header: string | string[] | undefined): string | undefined {
  if (header === undefined || !['POST', 'PATCH'].includes(operation.http.method)) return undefined;
  if (typeof header !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(header)) {
    throw invalid('Idempotency-Key', 'must be 1 to 255 visible ASCII characters, such as a UUID');
  }
  return header;
}

function without(query: URLSearchParams, name: string): URLSearchParams {
  const rest = new URLSearchParams(query);
  rest.delete(name);
  return rest;
}

function invalid(field: string, problem: string, nextStep?: string): AltoError {
  return new AltoError('invalid_request', {
    message: `${field}: ${problem}`,
    field,
    ...(nextStep !== undefined && { nextStep }),
  });
}
