/** Names of requests that are done once, and what tells two requests apart. Pure. */
import { createHash, createHmac } from 'node:crypto';

export interface NamedRequest {
  /** Id of the caller's API key: what others call their requests is nobody's business. */
  readonly caller: string;
  readonly idempotencyKey: string;
}

/**
 * 64 hex digits that name the request to the service and open its kept answer. Made with a secret of the gateways, so
 * that a copy of a database gives nothing away.
 */
export function onceKeyOf(secret: string, { caller, idempotencyKey }: NamedRequest): string {
  const key = createHmac('sha256', secret).update('names of requests that are done once').digest();
  return createHmac('sha256', key).update(`${caller}\n${idempotencyKey}`).digest('hex');
}

/** The same for inputs that differ in the order of their fields only. */
export function requestHashOf(operation: string, input: unknown, condition: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify([operation, sorted(input), condition ?? null]))
    .digest('hex');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  // A list of pairs, not an object: numeric keys would be put into another order again.
  return { of: entries.map(([key, inner]) => [key, sorted(inner)]) };
}
