/**
 * Secrets of an instance, opened in the moment its process is started and handed to that process alone: what compute
 * sends, what lies on the disk and what the supervisor compares and shows is sealed.
 */
import type { DesiredInstance } from '@alto/contracts';
import { MasterKeys, MasterKeysError, openSecret, SealingError } from '@alto/platform';

/** @throws Error that says which secret cannot be had and why, and holds nothing of it */
export function secretEnvironment(
  { project, secretEnv = [] }: Pick<DesiredInstance, 'project' | 'secretEnv'>,
  masterKeyFile: string,
): Record<string, string> {
  if (secretEnv.length === 0) return {};
  const keys = keysOf(masterKeyFile);
  return Object.fromEntries(
    secretEnv.map(({ name, version, sealed }) => {
      if (sealed === null)
        throw new Error(`Version ${version} of secret ${name} has been deleted: deploy the app anew`);
      return [name, opened(keys, sealed, { project, name, version })];
    }),
  );
}

/** Read each time: a key that was added counts at once, and none stays in memory. */
function keysOf(path: string): MasterKeys {
  try {
    return MasterKeys.fromFile(path);
  } catch (error) {
    if (!(error instanceof MasterKeysError)) throw error;
    throw new Error(`Its secrets cannot be opened: ${error.message}`, { cause: error });
  }
}

function opened(keys: MasterKeys, sealed: string, place: { project: string; name: string; version: number }): string {
  try {
    return openSecret(keys, sealed, place);
  } catch (error) {
    if (!(error instanceof SealingError)) throw error;
    throw new Error(`Secret ${place.name} cannot be opened: ${error.message}`, { cause: error });
  }
}
