/**
 * What a machine is given so that it can join: who it is on the bus, where that is, and the keys that it needs to run
 * apps. Whoever holds a token can do all that the agent of a node can: it is treated like a password.
 *
 *   alto-node-1.<base64url of JSON>
 */
import { z } from 'zod';

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
  return `${form}.${Buffer.from(JSON.stringify(token), 'utf8').toString('base64url')}`;
}

/** @throws Error that says what is wrong and holds nothing of the token. */
export function decodeJoinToken(text: string): JoinToken {
  const [word, content = '', ...more] = text.trim().split('.');
  if (word === form && more.length === 0) {
    const parsed = joinTokenSchema.safeParse(jsonOf(content));
    if (parsed.success) return parsed.data;
  }
  throw new Error('This is no token of an Alto, or not all of it: get one with `alto nodes token`.');
}

function jsonOf(content: string): unknown {
  try {
    return JSON.parse(Buffer.from(content, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
