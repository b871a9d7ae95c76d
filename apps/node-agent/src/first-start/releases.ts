/** Releases of the services: copied once from where they were built, never changed afterwards. */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { copyFolder, writeIfChanged } from './files';

export interface InstalledRelease {
  service: string;
  version: string;
  directory: string;
}

/** How many releases of a service stay installed beside the one in use. */
const keptReleases = 4;

/**
 * Installs what `source` points at and points at the same.
 * @returns the release in use of each service in `services`.
 * @throws Error for a service that is not installed and not in `source`.
 */
export async function ensureReleases(
  directory: string,
  source: string | undefined,
  services: readonly string[],
): Promise<Map<string, InstalledRelease>> {
  const installed = new Map<string, InstalledRelease>();
  for (const service of services) {
    if (source !== undefined) await install(join(source, service), join(directory, service));
    const version = await pointer(join(directory, service));
    if (version === undefined) {
      throw new Error(
        `No release of ${service} is installed in ${directory}: build it with \`npm run build\` and start again.`,
      );
    }
    await pruneReleases(join(directory, service), version);
    installed.set(service, { service, version, directory: join(directory, service, version) });
  }
  return installed;
}

/** The version in the file `current`; undefined when there is none, or it names what is not there. */
async function pointer(releases: string): Promise<string | undefined> {
  const version = (await readFile(join(releases, 'current'), 'utf8').catch(() => '')).trim();
  return version !== '' && existsSync(join(releases, version, 'manifest.json')) ? version : undefined;
}

async function install(from: string, to: string): Promise<void> {
  const version = await pointer(from);
  if (version === undefined) return;
  await copyFolder(join(from, version), join(to, version));
  await writeIfChanged(join(to, 'current'), `${version}\n`, 0o644);
}

/** Old releases would fill the disk; the newest few stay for a way back. */
async function pruneReleases(releases: string, current: string): Promise<void> {
  const manifests = (await readdir(releases, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const others = manifests.map((entry) => entry.name).filter((version) => version !== current);
  const dated = await Promise.all(
    others.map(async (version) => ({ version, at: await installedAt(join(releases, version)) })),
  );
  dated.sort((a, b) => b.at - a.at);
  for (const { version } of dated.slice(keptReleases))
    await rm(join(releases, version), { recursive: true, force: true });
}

/** Removes what was derived from releases that are no longer in use: `directory/<service>/<version>`. */
export async function forgetOthers(directory: string, used: readonly InstalledRelease[]): Promise<void> {
  for (const { service, version } of used) {
    const versions = await readdir(join(directory, service)).catch(() => []);
    const others = versions.filter((candidate) => candidate !== version);
    for (const other of others) await rm(join(directory, service, other), { recursive: true, force: true });
  }
}

async function installedAt(release: string): Promise<number> {
  return await stat(release).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}
