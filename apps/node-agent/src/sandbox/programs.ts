/** The programs that make a sandbox, where this machine has them. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface SandboxPrograms {
  bwrap?: string;
  /** util-linux; must lie in /usr, which sandboxes see. */
  setpriv?: string;
  nsenter?: string;
  /** iproute2. */
  ip?: string;
  bridge?: string;
  /** nftables. */
  nft?: string;
}

const names = ['bwrap', 'setpriv', 'nsenter', 'ip', 'bridge', 'nft'] as const;

/** @param given paths that the operator named, which come first */
export function findPrograms(searchPath: string, given: SandboxPrograms = {}): SandboxPrograms {
  const find = (name: (typeof names)[number]) => given[name] ?? findProgram(name, searchPath);
  return Object.fromEntries(names.map((name) => [name, find(name)]).filter(([, path]) => path !== undefined));
}

/** There, or where systems keep their own. */
export function findProgram(name: string, searchPath = ''): string | undefined {
  const folders = [...searchPath.split(delimiter).filter(Boolean), '/usr/bin', '/usr/sbin', '/bin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
