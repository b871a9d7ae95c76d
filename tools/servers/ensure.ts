/** One usable program for each server: the first of several sources that works. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { compareVersions, installCommand, serverPackages, type ServerPackage } from './catalogue.ts';
import { unpackDebianPackage } from './debian.ts';
import { downloadRelease } from './release.ts';
import { run } from './run.ts';

export interface ServerProgram {
  name: ServerPackage['name'];
  version: string;
  /** Absolute path of the program. */
  path: string;
}

export interface EnsureOptions {
  /** Folders to look in first; the environment's PATH and the usual system folders unless given. */
  searchPath?: readonly string[];
  /** Where fetched servers are kept between starts. */
  cacheDirectory?: string;
  report?: (line: string) => void;
}

/** @throws Error with what to type, when a server is neither there nor to be had. */
export async function ensureServers(options: EnsureOptions = {}): Promise<ServerProgram[]> {
  const found: ServerProgram[] = [];
  for (const server of serverPackages.filter(({ platform = process.platform }) => platform === process.platform)) {
    const program = await ensureServer(server, options).catch((error: Error) => {
      if (server.without === undefined) throw error;
      options.report?.(`Going on without ${server.name}: ${server.without}. ${error.message}`);
      return undefined;
    });
    if (program !== undefined) found.push(program);
  }
  return found;
}

async function ensureServer(server: ServerPackage, options: EnsureOptions): Promise<ServerProgram> {
  const { searchPath = serverFolders(), cacheDirectory = defaultCache(), report = () => undefined } = options;
  const kept = join(cacheDirectory, 'bin', server.name);
  const problems: string[] = [];
  for (const candidate of [...searchPath.map((folder) => join(folder, server.name)), kept]) {
    if (!existsSync(candidate)) continue;
    const checked = await checkVersion(server, candidate);
    if ('version' in checked) return { name: server.name, version: checked.version, path: resolve(candidate) };
    problems.push(checked.problem);
  }
  for (const [source, fetch] of [
    ["Debian's package", unpackDebianPackage],
    ['the official release', downloadRelease],
  ] as const) {
    const staging = join(cacheDirectory, server.name, `fetching-${process.pid}`);
    await rm(staging, { recursive: true, force: true });
    await mkdir(staging, { recursive: true });
    try {
      report(`Fetching ${server.name} (${source}) …`);
      const program = await fetch(server, staging);
      const checked = await checkVersion(server, program);
      if ('problem' in checked) throw new Error(checked.problem);
      return { name: server.name, version: checked.version, path: await keep(staging, program, kept, checked.version) };
    } catch (error) {
      problems.push(`${source}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  }
  throw new Error(missingMessage(server, problems));
}

async function checkVersion(server: ServerPackage, path: string): Promise<{ version: string } | { problem: string }> {
  const answer = await run([path, ...server.versionArguments]).catch((error: Error) => error);
  if (answer instanceof Error) return { problem: `${path} cannot be run: ${answer.message}` };
  const version = server.versionPattern.exec(answer)?.[1];
  if (version === undefined) return { problem: `${path} did not say which version it is` };
  if (compareVersions(version, server.minimumVersion) >= 0) return { version };
  return { problem: `${path} is ${version}; Alto needs ${server.minimumVersion} or newer` };
}

/** Moves what was fetched to its lasting place: one folder for each version, and a link to the newest. */
async function keep(staging: string, program: string, link: string, version: string): Promise<string> {
  const lasting = join(dirname(staging), version);
  await rm(lasting, { recursive: true, force: true });
  await rename(staging, lasting);
  const path = join(lasting, program.slice(staging.length + 1));
  await mkdir(dirname(link), { recursive: true });
  await rm(link, { force: true });
  await symlink(path, link);
  return link;
}

function missingMessage(server: ServerPackage, problems: readonly string[]): string {
  const has = (program: string) => programFolders().some((folder) => existsSync(join(folder, program)));
  return [
    `${server.name} ${server.minimumVersion} or newer is needed: ${installCommand(server, has)}, and start again.`,
    ...problems.map((problem) => `  ${problem}`),
  ].join('\n');
}

/** Debian keeps servers in sbin folders, which are not on the PATH of ordinary users. */
function programFolders(): string[] {
  const fromEnvironment = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...new Set([...fromEnvironment, '/usr/local/sbin', '/usr/sbin', '/sbin', '/opt/homebrew/bin'])];
}

/** Where installed servers are looked for; ALTO_SERVERS_PATH names other folders, to try what happens without any. */
function serverFolders(): string[] {
  return process.env.ALTO_SERVERS_PATH?.split(delimiter) ?? programFolders();
}

function defaultCache(): string {
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return join(base, 'alto', 'servers');
}
