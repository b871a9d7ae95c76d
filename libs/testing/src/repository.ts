import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the repository, also from within a bundle that lies somewhere below it. */
export const repositoryRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  if (existsSync(join(folder, 'nx.json'))) return folder;
  if (dirname(folder) === folder) throw new Error('This does not lie within the repository');
  return findRoot(dirname(folder));
}
