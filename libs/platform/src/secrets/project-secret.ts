/** A project's secret as it is sealed: bound to its project, name and version, so that none can pass for another. */
import type { MasterKeys } from './master-keys';
import { open, seal } from './sealing';

export interface SecretPlace {
  /** Id of the project. */
  readonly project: string;
  readonly name: string;
  readonly version: number;
}

export function sealSecret(keys: MasterKeys, value: string, place: SecretPlace): string {
  return seal(keys, value, wordsOf(place));
}

/** @throws SealingError */
export function openSecret(keys: MasterKeys, sealed: string, place: SecretPlace): string {
  return open(keys, sealed, wordsOf(place));
}

function wordsOf({ project, name, version }: SecretPlace): string[] {
  return ['project secret', project, name, String(version)];
}
