/**
 * Builds every app to its own immutable release, `dist/releases/<service>/<version>/`.
 *
 *   npm run build                 all of them
 *   npm run build -- compute      only these
 *
 * What has not changed since the last build is left as it is.
 */
import { pathToFileURL } from 'node:url';
import { buildReleases } from './build/releases.ts';

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const startedAt = performance.now();
  const only = process.argv.slice(2);
  const releases = await buildReleases({ ...(only.length > 0 && { only }) });
  for (const { service, version, cached } of releases) {
    process.stdout.write(`${service.padEnd(16)}${version}${cached ? '  unchanged' : ''}\n`);
  }
  process.stdout.write(`${releases.length} releases in ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
}
