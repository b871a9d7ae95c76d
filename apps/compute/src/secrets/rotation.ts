/** Where the rotation of master keys stands: which key seals, and what each of them is still needed for. Pure. */
import type { MasterKey } from '@alto/contracts';
import { counted, listed } from '../placement/words';

/** A machine that runs apps. */
export interface Machine {
  readonly name: string;
  /** Null when it does not say. */
  readonly masterKeys: readonly string[] | null;
  readonly sealedWith: readonly string[];
}

/**
 * The newest key that every machine has: what it seals can be opened wherever an app may run.
 * @param ids all keys that compute has, oldest first
 */
export function sealingKeyOf(ids: readonly string[], machines: readonly Machine[]): string {
  const telling = machines.flatMap(({ masterKeys }) => (masterKeys === null ? [] : [masterKeys]));
  const common = ids.filter((id) => telling.every((held) => held.includes(id)));
  return common.at(-1) ?? ids.at(-1) ?? '';
}

/**
 * Each key with its part in the rotation, oldest first; those that are missing come last.
 * @param values number of sealed values, by the key that opens them
 */
export function rotationOf(
  ids: readonly string[],
  machines: readonly Machine[],
  values: ReadonlyMap<string, number>,
): MasterKey[] {
  const sealing = ids.indexOf(sealingKeyOf(ids, machines));
  const missing = [...values.keys()].filter((id) => !ids.includes(id)).sort();
  return [...ids, ...missing].map((id, place) => {
    const needing = machines.filter(({ sealedWith }) => sealedWith.includes(id)).map(({ name }) => name);
    const state = stateOf(place, sealing, ids.length);
    const lacking = machines.filter(({ masterKeys }) => masterKeys?.includes(id) === false).map(({ name }) => name);
    const uses = { values: values.get(id) ?? 0, machines: needing.length };
    const inUse = state !== 'opening' || uses.values > 0 || uses.machines > 0;
    return { id, state, ...uses, inUse, reason: reasonOf(state, uses.values, needing, lacking) };
  });
}

function stateOf(place: number, sealing: number, count: number): MasterKey['state'] {
  if (place >= count) return 'missing';
  if (place === sealing) return 'sealing';
  return place > sealing ? 'spreading' : 'opening';
}

function reasonOf(
  state: MasterKey['state'],
  values: number,
  needing: readonly string[],
  lacking: readonly string[],
): string {
  const amount = counted(values, 'value');
  switch (state) {
    case 'sealing':
      return 'it seals what is set';
    case 'spreading':
      return `it will seal once ${listed(lacking)} has it too`;
    case 'missing':
      return `${amount} cannot be opened: put the key back into the file`;
    case 'opening':
      if (values > 0) return `it still opens ${amount}, until all is sealed anew`;
      if (needing.length > 0) return `${listed(needing)} has not taken over what was sealed anew yet`;
      return 'it opens nothing any more and can be retired';
  }
}
