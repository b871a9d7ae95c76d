/** Where a reader of an app's log stands: the cursor that each node's agent gave for its own instances. */
import { AltoError } from '@alto/contracts';
import { z } from 'zod';

const positionsSchema = z.record(z.string().max(60), z.string().max(4_000));

/** Agent's cursor by node id. */
export type LogPositions = Readonly<Record<string, string>>;

export function encodePositions(positions: LogPositions): string {
  return Buffer.from(JSON.stringify(positions)).toString('base64url');
}

/** @throws AltoError invalid_request naming `cursor` */
export function decodePositions(cursor: string | undefined): LogPositions {
  if (cursor === undefined) return {};
  try {
    return positionsSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch {
    throw new AltoError('invalid_request', {
      message: 'cursor: is not one that an answer of this operation has given out',
      field: 'cursor',
      nextStep: 'Leave the cursor out to read the last lines.',
    });
  }
}
