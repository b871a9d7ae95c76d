/** Cursors of the list of routes: the name at which a page ended, opaque to callers and checked when it comes back. */
import { AltoError, nameField } from '@alto/contracts';

export function encodeCursor(name: string): string {
  return Buffer.from(name).toString('base64url');
}

/** @throws AltoError invalid_request naming `cursor` */
export function decodeCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const name = nameField.safeParse(Buffer.from(cursor, 'base64url').toString('utf8'));
  if (name.success) return name.data;
  throw new AltoError('invalid_request', {
    message: 'cursor: is not one that this list has given out',
    field: 'cursor',
    nextStep: 'Leave the cursor out to begin at the first page.',
  });
}
