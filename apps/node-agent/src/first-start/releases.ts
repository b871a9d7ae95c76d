/**
 * Releases of the services: copied once from where they were built, never changed afterwards. Each service has a
 * folder `releases/<service>/` with its versions and three files of one line:
 *
 *   current    the version in use
 *   previous   the one in use before it, for a way back
 *   taken      the newest build that was taken over from the source: it is not taken again after a way back
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AltoError } from '@alto/contracts';
import { copyFolder, writeIfChanged } from './files';

/** How many releases of a service stay installed beside those in use. */
const keptReleases = 4;

export interface InstalledRelease {
  service: string;
  version: string;
  directory: string;
}

/** Which releases to plan with. */
export interface ReleaseChoice {
  /** Those in use, whatever has been built since: something runs already. */
  keep?: boolean;
  /** By service: another version than the one in use. */
  versions?: Readonly<Record<string, string>>;
}

export interface ServiceVersions {
  service: string;
  current: string | null;
  previous: string | null;
  /** Newest first. */
  versions: { version: string; state: VersionState }[];
}

export type VersionState = 'current' | 'previous' | 'installed' | 'available';

export class Releases {
  /** @param source where they are built; undefined: what is installed is all there is */
  constructor(
    private readonly directory: string,
    private readonly source: string | undefined,
  ) {}

  /**
   * Makes sure that each service has a release, and unless told to keep what is in use takes over newer builds.
   * @throws Error for a service that is not installed and not in the source.
   */
  async ensure(services: readonly string[], choice: ReleaseChoice = {}): Promise<Map<string, InstalledRelease>> {
    const installed = new Map<string, InstalledRelease>();
    for (const service of services) {
      const inUse = await this.current(service);
      const newest = choice.keep && inUse !== undefined ? inUse : await this.newest(service);
      if (newest === undefined) {
        throw new Error(
          `No release of ${service} is installed in ${this.directory}: build it with \`npm run build\` and start again.`,
        );
      }
      await this.use(service, newest);
      if (!choice.keep) await this.markTaken(service, newest);
      const version = choice.versions?.[service] ?? newest;
      await this.prune(service, version);
      installed.set(service, { service, version, directory: join(this.directory, service, version) });
    }
    return installed;
  }

  /** The version in use. */
  async current(service: string): Promise<string | undefined> {
    return await this.named(service, 'current');
  }

  async previous(service: string): Promise<string | undefined> {
    return await this.named(service, 'previous');
  }

  /** The version that a restart brings: a build that has come since the last one was taken, else the one in use. */
  async newest(service: string): Promise<string | undefined> {
    const built = await this.built(service);
    if (built === undefined || built === (await this.named(service, 'taken'))) return await this.current(service);
    await this.install(service, built);
    return built;
  }

  /** A build that has been tried is not brought by the next restart again. */
  async markTaken(service: string, version: string): Promise<void> {
    if (version === (await this.built(service))) await this.write(service, 'taken', version);
  }

  /** Installs a version unless it is there. @throws AltoError `not_found` */
  async install(service: string, version: string): Promise<void> {
    if (!isVersion(version) || !(await this.fetch(service, version))) {
      const { versions } = await this.list(service);
      const known = versions.slice(0, 5).map((one) => one.version);
      throw new AltoError('not_found', {
        message: `There is no version ${version} of ${service}.`,
        field: 'to',
        nextStep: known.length === 0 ? 'Build it with `npm run build`.' : `Take one of these: ${known.join(', ')}`,
      });
    }
  }

  /** From now on this version is started. Can be repeated wherever it was broken off. */
  async use(service: string, version: string): Promise<void> {
    const before = await this.current(service);
    if (before === version) return;
    if (before !== undefined) await this.write(service, 'previous', before);
    await this.write(service, 'current', version);
  }

  /** What runs already is started from now on, too, where it is a release at all. */
  async takeOver(service: string, version: string): Promise<void> {
    if (!isVersion(version) || !(await this.fetch(service, version))) return;
    await this.use(service, version);
    await this.markTaken(service, version);
    await this.prune(service, version);
  }

  async list(service: string): Promise<ServiceVersions> {
    const current = (await this.current(service)) ?? null;
    const previous = (await this.previous(service)) ?? null;
    const installed = await releasesIn(join(this.directory, service));
    const built = this.source === undefined ? [] : await releasesIn(join(this.source, service));
    const missing = built.filter(({ version }) => !installed.some((one) => one.version === version));
    const stateOf = (version: string): VersionState => {
      if (version === current) return 'current';
      return version === previous ? 'previous' : 'installed';
    };
    const all = [
      ...installed.map(({ version, at }) => ({ at, version, state: stateOf(version) })),
      ...missing.map(({ version, at }) => ({ at, version, state: 'available' as const })),
    ].sort((a, b) => b.at - a.at);
    return { service, current, previous, versions: all.map(({ version, state }) => ({ version, state })) };
  }

  private async built(service: string): Promise<string | undefined> {
    return this.source === undefined ? undefined : await pointer(join(this.source, service), 'current');
  }

  private async fetch(service: string, version: string): Promise<boolean> {
    if (isRelease(join(this.directory, service), version)) return true;
    if (this.source === undefined || !isRelease(join(this.source, service), version)) return false;
    await copyFolder(join(this.source, service, version), join(this.directory, service, version));
    return true;
  }

  /** Old releases would fill the disk; the newest few stay for a way back. */
  private async prune(service: string, planned: string): Promise<void> {
    const used = [planned, await this.current(service), await this.previous(service)];
    const others = (await releasesIn(join(this.directory, service))).filter(({ version }) => !used.includes(version));
    for (const { version } of others.slice(keptReleases))
      await rm(join(this.directory, service, version), { recursive: true, force: true });
  }

  private async named(service: string, name: 'current' | 'previous' | 'taken'): Promise<string | undefined> {
    return await pointer(join(this.directory, service), name);
  }

  private async write(service: string, name: 'current' | 'previous' | 'taken', version: string): Promise<void> {
    await writeIfChanged(join(this.directory, service, name), `${version}\n`, 0o644);
  }
}

/** Removes what was derived from releases that are no longer installed: `directory/<service>/<version>`. */
export async function forgetUninstalled(
  directory: string,
  releases: string,
  services: readonly string[],
): Promise<void> {
  for (const service of services) {
    const derived = await readdir(join(directory, service)).catch(() => []);
    const stale = derived.filter((version) => !isRelease(join(releases, service), version));
    for (const version of stale) await rm(join(directory, service, version), { recursive: true, force: true });
  }
}

/** The version in a file; undefined when there is none, or it names what is not there. */
async function pointer(folder: string, name: string): Promise<string | undefined> {
  const version = (await readFile(join(folder, name), 'utf8').catch(() => '')).trim();
  return version !== '' && isRelease(folder, version) ? version : undefined;
}

function isRelease(folder: string, version: string): boolean {
  return existsSync(join(folder, version, 'manifest.json'));
}

/** It names a folder, and nothing outside of where it belongs. */
function isVersion(text: string): boolean {
  return /^[A-Za-z0-9][\w.+-]{0,99}$/.test(text);
}

/** Newest first. */
async function releasesIn(folder: string): Promise<{ version: string; at: number }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const versions = names.filter((name) => isVersion(name) && isRelease(folder, name));
  const dated = await Promise.all(versions.map(async (version) => ({ version, at: await madeAt(folder, version) })));
  return dated.sort((a, b) => b.at - a.at);
}

async function madeAt(folder: string, version: string): Promise<number> {
  return await stat(join(folder, version)).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}
