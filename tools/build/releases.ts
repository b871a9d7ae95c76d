/** Immutable releases of the services, named after what is in them. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle, nativePackages } from './bundle.ts';

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface BuildOptions {
  root?: string;
  /** Names of apps; all that have a `src/main.ts` unless given. */
  only?: readonly string[];
}

export interface Release {
  service: string;
  version: string;
  directory: string;
  /** Nothing that goes into it had changed. */
  cached: boolean;
}

/** `manifest.json` of a release. */
export interface ReleaseManifest {
  service: string;
  version: string;
  /** SHA-256 in hexadecimal of every other file of the release, by its path. */
  files: Record<string, string>;
}

/** Builds what has changed and points `dist/releases/<service>/current` at each release. */
export async function buildReleases({ root = repository, only }: BuildOptions = {}): Promise<Release[]> {
  const services = only ?? (await buildableApps(root));
  const common = await digestOf(root, [
    ...(await sourcesUnder(join(root, 'libs'))),
    ...(await sourcesUnder(join(root, 'tools', 'build'))),
    join(root, 'package-lock.json'),
    join(root, 'tsconfig.base.json'),
  ]);
  const inputs = new Map<string, string>();
  const releases = new Map<string, Release>();
  for (const service of services) {
    const digest = await inputDigest(root, service, common);
    const version = await cachedVersion(releasesOf(root, service), digest);
    if (version === undefined) inputs.set(service, digest);
    else releases.set(service, { service, version, directory: join(releasesOf(root, service), version), cached: true });
  }
  for (const release of await buildChanged(root, inputs)) releases.set(release.service, release);
  return services.map((service) => releases.get(service) as Release);
}

const releasesOf = (root: string, service: string) => join(root, 'dist', 'releases', service);

async function buildableApps(root: string): Promise<string[]> {
  const apps = await readdir(join(root, 'apps'));
  return apps.filter((app) => existsSync(join(root, 'apps', app, 'src', 'main.ts'))).sort();
}

async function inputDigest(root: string, service: string, common: string): Promise<string> {
  const own = await digestOf(root, await sourcesUnder(join(root, 'apps', service)));
  return createHash('sha256').update(common).update(own).digest('hex');
}

/** @param inputs digest of what each service is built from */
async function buildChanged(root: string, inputs: ReadonlyMap<string, string>): Promise<Release[]> {
  if (inputs.size === 0) return [];
  // Siblings of the final folders, so that the relative paths in the source maps are the same.
  const building = `building-${process.pid}`;
  const outputDirectory = join(root, 'dist', 'releases');
  const outputOf = (service: string) => `${service}/${building}/main`;
  const entries = [...inputs.keys()].map((service) => [outputOf(service), join('apps', service, 'src', 'main.ts')]);
  try {
    const imports = await bundle({ root, outputDirectory, entries: Object.fromEntries(entries) });
    const releases: Release[] = [];
    for (const [service, digest] of inputs) {
      const directory = join(outputDirectory, service, building);
      await copyNativePackages(root, imports.get(outputOf(service)) ?? [], directory);
      releases.push(await finishRelease(root, service, digest, directory));
    }
    return releases;
  } finally {
    for (const service of inputs.keys()) {
      await rm(join(outputDirectory, service, building), { recursive: true, force: true });
    }
  }
}

async function finishRelease(root: string, service: string, digest: string, building: string): Promise<Release> {
  const app = join(root, 'apps', service);
  const releases = releasesOf(root, service);
  const { version: packageVersion, alto } = JSON.parse(await readFile(join(app, 'package.json'), 'utf8'));
  if (existsSync(join(app, 'assets'))) await cp(join(app, 'assets'), join(building, 'assets'), { recursive: true });
  await copyAssetPackages(root, alto?.assetPackages ?? {}, building);
  const version = await sealRelease(service, packageVersion, building);
  const directory = join(releases, version);
  await rename(building, directory).catch((error: unknown) => {
    // The same release is there already: from an earlier build, or from one that runs beside this.
    if (!existsSync(join(directory, 'manifest.json'))) throw error;
  });
  await writeAtomically(join(releases, 'current'), `${version}\n`);
  await writeAtomically(join(releases, 'inputs.json'), JSON.stringify({ inputDigest: digest, version }));
  return { service, version, directory, cached: false };
}

async function cachedVersion(releases: string, inputDigest: string): Promise<string | undefined> {
  const text = await readFile(join(releases, 'inputs.json'), 'utf8').catch(() => '{}');
  const known = JSON.parse(text) as { inputDigest?: string; version?: string };
  if (known.inputDigest !== inputDigest || known.version === undefined) return undefined;
  return existsSync(join(releases, known.version, 'manifest.json')) ? known.version : undefined;
}

/** Writes the manifest. @returns the version: the package's, then the start of a digest of all files. */
async function sealRelease(service: string, packageVersion: string, directory: string): Promise<string> {
  const files: Record<string, string> = {};
  for (const path of await filesUnder(directory)) {
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    files[relative(directory, path).split(sep).join('/')] = digest;
  }
  const content = createHash('sha256').update(JSON.stringify(files)).digest('hex');
  const manifest: ReleaseManifest = { service, version: `${packageVersion}-${content.slice(0, 8)}`, files };
  await writeFile(join(directory, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest.version;
}

/** A package with a compiled part, and the packages `<name>-<platform>` that hold it. */
async function copyNativePackages(root: string, imported: readonly string[], directory: string): Promise<void> {
  for (const name of nativePackages.filter((candidate) => imported.includes(candidate))) {
    const [scope, base] = name.split('/') as [string, string];
    const siblings = await readdir(join(root, 'node_modules', scope));
    for (const sibling of siblings.filter((entry) => entry === base || entry.startsWith(`${base}-`))) {
      const target = join(directory, 'node_modules', scope, sibling);
      await cp(join(root, 'node_modules', scope, sibling), target, { recursive: true });
    }
  }
}

/** Files of packages that an app serves as they are: `alto.assetPackages` of its package.json names them. */
async function copyAssetPackages(root: string, packages: Record<string, string[]>, directory: string): Promise<void> {
  for (const [name, files] of Object.entries(packages)) {
    for (const file of files) {
      await cp(join(root, 'node_modules', name, file), join(directory, 'assets', name, file));
    }
  }
}

/** Everything that can end up in a release: no tests, no prose. */
async function sourcesUnder(directory: string): Promise<string[]> {
  const files = await filesUnder(directory);
  return files.filter((path) => !/\.spec\.ts$|\.md$|[\\/]node_modules[\\/]/.test(path));
}

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.sort();
}

async function digestOf(root: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of files) {
    const content = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    hash.update(`${relative(root, path)}\0${content}\n`);
  }
  return hash.digest('hex');
}

async function writeAtomically(path: string, content: string): Promise<void> {
  await writeFile(`${path}.${process.pid}`, content);
  await rename(`${path}.${process.pid}`, path);
}
