/** Where this command lies among the releases: `<releases>/cli/<version>/main.mjs`. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function releasesFolder(): string {
  return dirname(dirname(import.meta.dirname));
}

/** In a clone of the repository the command is `./alto`. */
export function runsFromClone(): boolean {
  return releasesFolder().endsWith(join('dist', 'releases'));
}

/** The release that a pointer names; undefined where there is none. */
export function currentVersion(
  releases: string,
  service: string,
  name: 'current' | 'taken' = 'current',
): string | undefined {
  const pointer = join(releases, service, name);
  return existsSync(pointer) ? readFileSync(pointer, 'utf8').trim() : undefined;
}
