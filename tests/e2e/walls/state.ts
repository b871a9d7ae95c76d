/** Everything that a project shows of itself, to see that an attempt has changed nothing. */
import { allOperations, isProjectScoped } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { exchange, requestOf } from './exchange';
import { type Known, sampleInput } from './sample';

/** The audit log tells of the attempts themselves. */
const tellsOfAttempts = new Set(['gateway.audit.list']);

const reads = allOperations.filter(
  (operation) =>
    isProjectScoped(operation) &&
    operation.http?.method === 'GET' &&
    (operation.http.kind ?? 'json') === 'json' &&
    !tellsOfAttempts.has(operation.name),
);

/** @returns the answer of each read of the project, by the operation's name, without what moves by itself */
export async function stateOf(apiUrl: string, key: string, known: Known): Promise<Record<string, string>> {
  const state: Record<string, string> = {};
  for (const operation of reads) {
    const { status, text } = await exchange(apiUrl, requestOf(operation, sampleInput(operation, known), key));
    state[operation.name] = `${status} ${withoutMoving(text)}`;
  }
  return state;
}

/** Looks in a row that must find the same: the slower the machine, the longer they take. */
const looksAlike = 3;

/** As `look` finds it once what was asked for before has had its effects. */
export function settled(look: () => Promise<Record<string, string>>): Promise<Record<string, string>> {
  let last = '';
  let alike = 0;
  return eventually(
    async () => {
      const found = await look();
      const text = JSON.stringify(found);
      alike = text === last ? alike + 1 : 1;
      last = text;
      return alike >= looksAlike && found;
    },
    { everyMs: 100 },
  );
}

/** Trace ids, when a key was last used, and what has become of instances that no machine takes meanwhile. */
function withoutMoving(text: string): string {
  return text
    .replaceAll(/"(traceId|lastUsedAt)":("[^"]*"|null)/g, '"$1":…')
    .replaceAll(/"(reason|updatedAt)":"[^"]*"/g, '"$1":…')
    .replaceAll(/"version":\d+,"status":/g, '"status":');
}
