/** Turns an operation and its input into an HTTP request: pure, so that what goes over the wire can be compared whole. */
import { type Operation, AltoError, pathParameters } from '@alto/contracts';

export interface RequestShape {
  method: string;
  /** Path and query, e.g. `/v1/projects/default/apps?limit=10`. */
  target: string;
  /** JSON fields; undefined when the operation takes no JSON body. */
  body?: Record<string, unknown>;
}

/** @throws AltoError invalid_request when a path parameter is missing, or the operation is not open to users. */
export function shapeRequest(
  operation: Operation,
  input: Readonly<Record<string, unknown>>,
  { dryRun = false }: { dryRun?: boolean } = {},
): RequestShape {
  const { http } = operation;
  if (!http)
    throw new AltoError('invalid_request', `${operation.name} is for Alto's own services; users cannot call it.`);
  const inPath = new Set(pathParameters(http.path));
  const path = http.path.replace(/\{([a-zA-Z]+)\}/g, (_, field: string) => encodeURIComponent(pathValue(input, field)));
  const rest = Object.entries(input).filter(([field, value]) => !inPath.has(field) && value !== undefined);
  const takesBody = (http.kind ?? 'json') === 'json' && http.method !== 'GET' && http.method !== 'DELETE';
  const inQuery = (field: string) => !takesBody || http.query?.includes(field) === true;
  const inputQuery = rest.filter(([field]) => inQuery(field) && !(dryRun && field === 'dryRun'));
  const query = queryText(dryRun ? [...inputQuery, ['dryRun', true]] : inputQuery);
  return {
    method: http.method,
    target: query ? `${path}?${query}` : path,
    ...(takesBody && { body: Object.fromEntries(rest.filter(([field]) => !inQuery(field))) }),
  };
}

function pathValue(input: Readonly<Record<string, unknown>>, field: string): string {
  const value = input[field];
  if ((typeof value === 'string' && value !== '') || typeof value === 'number') return String(value);
  throw new AltoError('invalid_request', { message: `${field}: is required`, field });
}

function queryText(fields: [string, unknown][]): string {
  const query = new URLSearchParams();
  for (const [field, value] of fields) {
    for (const item of Array.isArray(value) ? value : [value]) query.append(field, String(item));
  }
  return query.toString();
}
