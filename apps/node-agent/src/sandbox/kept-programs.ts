/** bubblewrap and nft as somebody named them: in a clone they are unpacked where nobody else would look. */
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pointLink } from '../first-start';
import { findPrograms, isExecutable, type SandboxPrograms } from './programs';

/**
 * Those that were named are found again by an agent that is started without their names: `kept` holds links to them.
 * @param kept folder of the data directory
 */
export async function keptPrograms(
  searchPath: string,
  given: Pick<SandboxPrograms, 'bwrap' | 'nft'>,
  kept: string,
): Promise<SandboxPrograms> {
  const paths: Record<string, string> = {};
  for (const name of ['bwrap', 'nft'] as const) {
    const link = join(kept, name);
    const path = given[name];
    if (path !== undefined) await pointLink(link, path);
    else if (isExecutable(link)) paths[name] = readlinkSync(link);
  }
  return findPrograms(searchPath, { ...paths, ...given });
}
