/**
 * Requests that are done once however often they are sent. The answer is kept in the transaction that makes the change,
 * so either both are there or neither; a repetition is given the answer and changes nothing, also when the process that
 * sent the first one was killed before it heard of it.
 *
 * Answers may hold secrets (a new API key). So they lie sealed with a key made of the request's name, and the name
 * itself is kept as a hash only: whoever reads the table can open nothing.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { AltoError } from '@alto/contracts';
import type { Query } from './rows';

export const onceKeptMs = 25 * 3_600_000;

const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

/**
 * @param key 64 hex digits, a secret of whoever may repeat the request
 * @returns the first answer; it is that of `body` unless there was one before
 */
export async function once(
  query: Query,
  { key, operation, at }: { readonly key: string; readonly operation: string; readonly at: Date },
  body: () => Promise<string>,
): Promise<string> {
  const name = createHash('sha256').update(key).digest('hex');
  // Of two at once, the second one waits here until the first has committed, or goes first itself.
  const { affected } = await query(
    'INSERT INTO alto_once (name, operation, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
    [name, operation, at],
  );
  if (affected === 0) return earlierAnswer(query, key, name, operation);
  const answer = await body();
  await query('UPDATE alto_once SET answer = $2 WHERE name = $1', [name, seal(key, answer)]);
  return answer;
}

/** @returns how many were forgotten, at most `count` */
export async function forgetOnce(query: Query, before: Date, count: number): Promise<number> {
  const { affected } = await query(
    'DELETE FROM alto_once WHERE name IN (SELECT name FROM alto_once WHERE at < $1 LIMIT $2)',
    [before, count],
  );
  return affected;
}

async function earlierAnswer(query: Query, key: string, name: string, operation: string): Promise<string> {
  const { rows } = await query<{ operation: string; answer: Buffer }>(
    'SELECT operation, answer FROM alto_once WHERE name = $1',
    [name],
  );
  const [earlier] = rows;
  if (earlier === undefined || earlier.operation !== operation) {
    throw new AltoError('conflict', {
      message: 'The name of this request belongs to another one.',
      nextStep: 'Give each request an Idempotency-Key of its own.',
    });
  }
  return unseal(key, earlier.answer);
}

/** Nonce, tag and text, sealed for whoever knows the key. */
export function seal(key: string, text: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const sealing = createCipheriv(cipher, sealingKey(key), nonce);
  const sealed = Buffer.concat([sealing.update(text, 'utf8'), sealing.final()]);
  return Buffer.concat([nonce, sealing.getAuthTag(), sealed]);
}

/** @throws Error when it was sealed with another key or has changed */
export function unseal(key: string, sealed: Buffer): string {
  const nonce = sealed.subarray(0, nonceBytes);
  const opening = createDecipheriv(cipher, sealingKey(key), nonce);
  opening.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
  const rest = sealed.subarray(nonceBytes + tagBytes);
  return Buffer.concat([opening.update(rest), opening.final()]).toString('utf8');
}

function sealingKey(key: string): Buffer {
  return createHmac('sha256', key).update('answer').digest();
}
