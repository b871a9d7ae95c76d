/** Merges path, query and body of a request into the one flat input of its operation. */
import { AltoError } from '@alto/contracts';
import { type LearnedOperation, type JsonSchema, fieldSchemasOf, takesJsonBody } from '../routing/learned-operation';

export interface RequestParts {
  path: Readonly<Record<string, string>>;
  query: URLSearchParams;
  /** Parsed JSON; undefined without a body. */
  body?: unknown;
}

/**
 * Text from path and query is turned into the number, boolean or list that the announced schema asks for; text that
 * does not fit stays as it is, for the service to refuse with its own words. Nothing is validated here beyond where a
 * field may come from, and that all text can be stored.
 */
export function buildInput(operation: LearnedOperation, parts: RequestParts): Record<string, unknown> {
  const schemas = fieldSchemasOf(operation);
  const body = bodyFields(operation, parts);
  const query = queryFields(operation, parts.query, schemas);
  const path = Object.entries(parts.path).map(([name, text]) => [name, coerce(text, schemas[name])] as const);
  const input = Object.fromEntries([...body, ...query, ...path]);
  const unusable = fieldThatIsNoText(input);
  if (unusable !== undefined)
    throw misplaced(unusable, 'must not hold the character U+0000, nor half a surrogate pair');
  return input;
}

/** PostgreSQL takes neither, nor does an environment variable: no service has a use for it. */
const isText = (value: string) => !value.includes('\0') && value.isWellFormed();

function fieldThatIsNoText(value: unknown): string | undefined {
  if (typeof value === 'string') return isText(value) ? undefined : '';
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const found = isText(key) ? fieldThatIsNoText(inner) : '';
    if (found !== undefined) return found === '' ? key : `${key}.${found}`;
  }
  return undefined;
}

function bodyFields(operation: LearnedOperation, { body, path, query }: RequestParts): [string, unknown][] {
  if (body === undefined || !takesJsonBody(operation)) return [];
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new AltoError('invalid_request', 'The body must be a JSON object.');
  }
  const fields = Object.entries(body);
  for (const [field] of fields) {
    if (Object.hasOwn(path, field)) throw misplaced(field, 'is given by the path; leave it out of the body');
    if (query.has(field)) throw misplaced(field, 'is given twice, in the query and in the body');
  }
  return fields;
}

function queryFields(
  operation: LearnedOperation,
  query: URLSearchParams,
  schemas: Record<string, JsonSchema>,
): [string, unknown][] {
  const allowed = takesJsonBody(operation) ? new Set(operation.http.query) : undefined;
  const path = new Set(operation.http.path.match(/(?<=\{)\w+(?=\})/g));
  return [...new Set(query.keys())].map((field) => {
    if (path.has(field)) throw misplaced(field, 'is given by the path; leave it out of the query');
    if (allowed && !allowed.has(field)) throw misplaced(field, 'is not a query parameter of this operation');
    const texts = query.getAll(field);
    const schema = Object.hasOwn(schemas, field) ? schemas[field] : undefined;
    if (schema?.type === 'array') return [field, texts.map((text) => coerce(text, schema.items as JsonSchema))];
    if (texts.length > 1) throw misplaced(field, 'is given more than once');
    return [field, coerce(texts[0] ?? '', schema)];
  });
}

/** Only the plain spelling of a number or boolean is taken: `1e3`, `0x10`, ` 1` and `True` stay text. */
function coerce(text: string, schema: JsonSchema | undefined): unknown {
  const type = schema?.type;
  if ((type === 'integer' || type === 'number') && /^-?\d{1,15}(\.\d{1,15})?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

function misplaced(field: string, problem: string): AltoError {
  return new AltoError('invalid_request', { message: `${field}: ${problem}`, field });
}
