/** Cursors of lists: opaque to callers, and only good for the list that gave them. */
import { AltoError } from '@alto/contracts';

/**
 * @param list names the list and what it was narrowed to, e.g. `keys:prj_…`: a cursor of another one is refused
 * @param after id of the last item shown
 */
export function encodeCursor(list: string, after: string): string {
  return Buffer.from(JSON.stringify([list, after]), 'utf8').toString('base64url');
}

/** Where the page begins; undefined for the first. @throws AltoError invalid_request naming `cursor`. */
export function decodeCursor(list: string, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const parts = parse(cursor);
  const [from, after] = Array.isArray(parts) && parts.length === 2 ? (parts as unknown[]) : [];
  if (from === list && typeof after === 'string' && /^[\w-]{1,100}$/.test(after)) return after;
  throw new AltoError('invalid_request', {
    message: 'cursor: was not given by this list',
    field: 'cursor',
    nextStep: 'Use the nextCursor of the page before, or leave it out to begin at the first page.',
  });
}

/** @param rows one more than `limit` when there is a next page */
export function pageFrom<R, T>(
  list: string,
  rows: readonly R[],
  limit: number,
  keyOf: (row: R) => string,
  toItem: (row: R) => T,
): { items: T[]; nextCursor?: string } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const items = shown.map(toItem);
  return rows.length > limit && last ? { items, nextCursor: encodeCursor(list, keyOf(last)) } : { items };
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
