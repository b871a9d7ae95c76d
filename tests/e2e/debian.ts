/** Programs that a test needs and a machine may lack, from Debian's packages. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where Debian puts programs, whatever the caller's PATH is. */
export const systemEnvironment = {
  ...process.env,
  PATH: `/usr/bin:/usr/sbin:/sbin:${process.env.PATH ?? ''}`,
  DEBIAN_FRONTEND: 'noninteractive',
};

/** Installs them unless all programs are there, without starting daemons. @returns why they are not to be had, in words */
export function installPrograms(programs: readonly string[], packages: readonly string[]): string | undefined {
  const missing = () => programs.filter((name) => findProgram(name) === undefined);
  if (missing().length === 0) return undefined;
  const wanted = packages.join(', ');
  if (findProgram('apt-get') === undefined) return `${missing().join(', ')} are needed, and this is no Debian`;
  if (process.getuid?.() !== 0) return `${missing().join(', ')} are needed, and only root may install ${wanted}`;
  try {
    withoutDaemons(() => install(packages));
  } catch (error) {
    return `Debian's ${wanted} are not to be had: ${String((error as Error).message).slice(-300)}`;
  }
  return missing().length === 0 ? undefined : `${wanted} are installed, and ${missing().join(', ')} are missing still`;
}

export function findProgram(name: string): string | undefined {
  return systemEnvironment.PATH.split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

/** A fresh container has no package lists. */
function install(packages: readonly string[]): void {
  const aptGet = (...words: string[]) => execFileSync('apt-get', words, { env: systemEnvironment, stdio: 'pipe' });
  const words = ['install', '-y', '-q', '--no-install-recommends', ...packages];
  try {
    aptGet(...words);
  } catch {
    aptGet('update', '-q');
    aptGet(...words);
  }
}

function withoutDaemons(work: () => void): void {
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    work();
  } finally {
    if (ours) rmSync(policy);
  }
}
