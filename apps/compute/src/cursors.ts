/** Cursors of lists: where a page ended, opaque to callers and checked when they come back. */
import { AltoError } from '@alto/contracts';

/** @param position sort key of the last item of the page */
export function encodeCursor(position: string | number): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/** @throws AltoError invalid_request naming `cursor` */
export function decodeCursor<T extends 'string' | 'number'>(
  cursor: string | undefined,
  type: T,
): (T extends 'string' ? string : number) | undefined {
  if (cursor === undefined) return undefined;
  const position = parse(cursor);
  if (typeof position !== type) {
    throw new AltoError('invalid_request', {
      message: 'cursor: is not one that this list has given out',
      field: 'cursor',
      nextStep: 'Leave the cursor out to begin at the first page.',
    });
  }
  return position as T extends 'string' ? string : number;
}

/** A page of `limit` items out of rows read with a limit of one more. */
export function pageOfRows<Row, Item>(
  rows: readonly Row[],
  limit: number,
  item: (row: Row) => Item,
  position: (row: Row) => string | number,
): { items: Item[]; nextCursor?: string } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const items = shown.map(item);
  return rows.length > limit && last !== undefined ? { items, nextCursor: encodeCursor(position(last)) } : { items };
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
