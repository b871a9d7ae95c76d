/**
 * Keeps the terms of a call by running its handler as one transaction: rolled back at the end of a trial, with the
 * answer kept in it for a request that is done once, and undone where the handler forgot to look at a condition. What
 * comes over NATS is run so as it is; a handler of an upload runs its last step so, once the content has arrived.
 */
import type { CallContext } from '../messaging/call-context';
import type { Clock } from './clock';
import type { Database } from './database';
import { once } from './once';
import { queryIn } from './rows';

export type KeepTerms = (
  call: Pick<CallContext, 'operation' | 'terms'>,
  body: () => Promise<string>,
) => Promise<string>;

export function termsKeeper(database: Database, clock: Clock): KeepTerms {
  return async ({ operation, terms: { dryRun, onceKey } }, body) => {
    if (dryRun === true) return undone(database, body);
    if (onceKey === undefined) return database.asOne(body);
    return database.asOne((transaction) =>
      once(queryIn(transaction), { key: onceKey, operation, at: clock.now() }, body),
    );
  };
}

/** What the body answers, and none of what it does. */
async function undone(database: Database, body: () => Promise<string>): Promise<string> {
  let answer: string | undefined;
  const rollBack = new Error('A trial is rolled back.');
  try {
    await database.asOne(async () => {
      answer = await body();
      throw rollBack;
    });
  } catch (error) {
    if (error !== rollBack) throw error;
  }
  return answer ?? '';
}
