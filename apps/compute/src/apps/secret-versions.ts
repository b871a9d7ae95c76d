/** What apps know of secrets: names and versions, never values. */
import { Injectable } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import type { EntityManager } from 'typeorm';

export abstract class SecretVersions {
  /**
   * Newest version of each named secret of the project.
   * @throws AltoError unprocessable, naming the first secret that the project does not have
   */
  abstract current(
    transaction: EntityManager,
    project: string,
    names: readonly string[],
  ): Promise<Readonly<Record<string, number>>>;
}

/** For a cluster that keeps no secrets. */
@Injectable()
export class NoSecrets extends SecretVersions {
  current(_transaction: EntityManager, _project: string, names: readonly string[]): Promise<Record<string, number>> {
    const [name] = names;
    return name === undefined ? Promise.resolve({}) : Promise.reject(unknownSecret(name));
  }
}

export function unknownSecret(name: string): AltoError {
  return new AltoError('unprocessable', {
    message: `secrets: the project has no secret ${name}`,
    field: 'secrets',
    nextStep: 'Set it first: `alto secrets set`.',
  });
}
