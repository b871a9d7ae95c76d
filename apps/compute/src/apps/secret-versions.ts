/** What apps know of secrets: names and versions, never values. */
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

  /**
   * Bytes that these versions take in what an agent is told of an instance of the app.
   * @throws AltoError unprocessable when they are too large together
   */
  abstract instructionBytes(
    transaction: EntityManager,
    app: string,
    versions: Readonly<Record<string, number>>,
  ): Promise<number>;
}

export function unknownSecret(name: string): AltoError {
  return new AltoError('unprocessable', {
    message: `secrets: the project has no secret ${name}`,
    field: 'secrets',
    nextStep: 'Set it first: `alto secrets set`.',
  });
}
