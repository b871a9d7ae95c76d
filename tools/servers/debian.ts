/**
 * Debian's package, unpacked for Alto alone: `apt-get download` and `dpkg -x` need no root, and since nothing is
 * installed no daemon is started or enabled. Shared libraries that the machine lacks are fetched the same way.
 */
import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerPackage } from './catalogue.ts';
import { run } from './run.ts';

/** @returns the path of the program inside `directory`. @throws Error where this is no Debian or the package is not to be had. */
export async function unpackDebianPackage(server: ServerPackage, directory: string): Promise<string> {
  if (process.platform !== 'linux') throw new Error('this is not a Debian system');
  await run(['dpkg', '--version']).catch(() => {
    throw new Error('this is not a Debian system');
  });
  await unpack(server.debianPackage, directory);
  const program = join(directory, server.debianPath);
  const missing = await missingLibraries(program, []);
  if (missing.length === 0) return program;
  return await withLibraries(server, directory, program);
}

async function unpack(packageName: string, directory: string): Promise<void> {
  const downloads = join(directory, 'packages');
  await mkdir(downloads, { recursive: true });
  await download(packageName, downloads);
  const archive = (await readdir(downloads)).find((file) => file.startsWith(`${packageName}_`));
  if (archive === undefined) throw new Error(`apt-get fetched no package ${packageName}`);
  await run(['dpkg', '-x', join(downloads, archive), directory]);
  // Some are links to those of other packages, and lead nowhere.
  await rm(join(directory, 'usr/share/doc'), { recursive: true, force: true });
}

/** A fresh container has no package lists; only root may fetch them. */
async function download(packageName: string, directory: string): Promise<void> {
  const command = ['apt-get', 'download', '-q', packageName];
  try {
    await run(command, { cwd: directory });
  } catch (error) {
    if (process.getuid?.() !== 0) throw error;
    await run(['apt-get', 'update', '-q']);
    await run(command, { cwd: directory });
  }
}

/** Fetches the packages on which the server depends until the loader finds every library; a script then sets its path. */
async function withLibraries(server: ServerPackage, directory: string, program: string): Promise<string> {
  const tried = new Set<string>();
  for (const dependency of await dependencies(server.debianPackage)) {
    const missing = await missingLibraries(program, await libraryFolders(directory));
    if (missing.length === 0) break;
    if (tried.has(dependency)) continue;
    tried.add(dependency);
    await unpack(dependency, directory);
  }
  const folders = await libraryFolders(directory);
  const missing = await missingLibraries(program, folders);
  if (missing.length > 0) throw new Error(`libraries are missing: ${missing.join(', ')}`);
  const original = `${program}.real`;
  await rename(program, original);
  await writeFile(program, launcher(directory, original, folders));
  await chmod(program, 0o755);
  return program;
}

/** Finds the libraries beside itself, wherever the folder is moved to. */
function launcher(directory: string, original: string, folders: readonly string[]): string {
  const up = original
    .slice(directory.length + 1)
    .split('/')
    .slice(1)
    .map(() => '..')
    .join('/');
  const relative = folders.map((folder) => `$root/${folder.slice(directory.length + 1)}`).join(':');
  return [
    '#!/bin/sh',
    `root=$(cd "$(dirname "$(readlink -f "$0")")/${up}" && pwd)`,
    `LD_LIBRARY_PATH="${relative}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$root/${original.slice(directory.length + 1)}" "$@"`,
    '',
  ].join('\n');
}

/** Sonames that the loader does not find. */
async function missingLibraries(program: string, folders: readonly string[]): Promise<string[]> {
  const listing = await run(['env', `LD_LIBRARY_PATH=${folders.join(':')}`, 'ldd', program]).catch((error: Error) => {
    // A program without any library: `ldd` says so and fails.
    if (/not a dynamic executable|statically linked/.test(error.message)) return '';
    throw error;
  });
  return Array.from(listing.matchAll(/^\s*(\S+) => not found/gm), (match) => match[1] ?? '');
}

async function libraryFolders(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const libraries = entries.filter((entry) => /\.so(\.\d+)*$/.test(entry.name));
  return [...new Set(libraries.map((entry) => entry.parentPath))].sort();
}

/** The package's dependencies, then theirs: libraries rarely lie deeper. Never the C library itself. */
async function dependencies(packageName: string): Promise<string[]> {
  const listing = await run([
    'apt-cache',
    'depends',
    '--recurse',
    '--no-recommends',
    '--no-suggests',
    '--no-conflicts',
    '--no-breaks',
    '--no-replaces',
    '--no-enhances',
    packageName,
  ]);
  const names = Array.from(listing.matchAll(/^\s+Depends: ([a-z0-9][a-z0-9.+-]*)/gm), (match) => match[1] ?? '');
  return [...new Set(names)].filter((name) => /^lib/.test(name) && !/^libc6|^libc-bin/.test(name));
}
