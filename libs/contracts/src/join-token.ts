/**
 * What a machine is given so that it can join: who it is on the bus, where that is, and the keys that it needs to run
 * apps. Whoever holds a token can do all that the agent of a node can: it is treated like a password.
 *
 *   alto-node-1.<base64url of JSON>
 */
import { z } from 'zod';
import { AltoError } from './errors';

const form = 'alto-node-1';

const joinTokenSchema = z.object({
  /** Id that the machine has in the cluster. */
  node: z.string().min(1),
  natsUrl: z.string().min(1),
  /** Content of a NATS credentials file. */
  credentials: z.string().min(1),
  callerPublicKeys: z.string().min(1),
  /** Content of a file of master keys: with them the agent opens its apps' secrets. */
  masterKeys: z.string().min(1),
});
export type JoinToken = z.infer<typeof joinTokenSchema>;

export function encodeJoinToken(token: JoinToken): string {
  const bytes = new TextEncoder().encode(JSON.stringify(token));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  return `${form}.${text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`;
}

/** @throws AltoError (invalid_request) that says what is wrong and holds nothing of the token. */
export function decodeJoinToken(text: string): JoinToken {
  const [word, content = '', ...more] = text.trim().split('.');
  if (word === form && more.length === 0) {
    const parsed = joinTokenSchema.safeParse(jsonOf(content));
    if (parsed.success) return parsed.data;
  }
  throw new AltoError('invalid_request', {
    message: 'This is no token of an Alto, or not all of it.',
    field: 'token',
    nextStep: 'Get one with `alto nodes token` on the machine on which Alto was started first.',
  });
}

function jsonOf(content: string): unknown {
  try {
    const text = atob(content.replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  } catch {
    return undefined;
  }
}
