/** Where this process may make cgroups: read from /proc, for cgroup 1 and 2 and machines that have both. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What can be bounded. */
export type Control = 'memory' | 'cpu' | 'pids';
export const controls: readonly Control[] = ['memory', 'cpu', 'pids'];

/** The group this process is in. */
export interface OwnGroup {
  /** Where its hierarchy is mounted. */
  mount: string;
  /** Its folder. */
  folder: string;
}

export interface Hierarchies {
  /** cgroup 1: one hierarchy for each control. */
  separate: ReadonlyMap<Control, OwnGroup>;
  /** cgroup 2, whichever controls it has. */
  unified: OwnGroup | undefined;
}

/** @returns no hierarchy where there is no /proc or nothing is mounted */
export function findHierarchies(): Hierarchies {
  return parseHierarchies(textOf('/proc/self/mountinfo'), textOf('/proc/self/cgroup'), existsSync);
}

/**
 * Pure but for `exists`: in a container a group's path may be that of the machine, of which only a part is mounted.
 * @param mounts as /proc/self/mountinfo
 * @param memberships as /proc/self/cgroup
 */
export function parseHierarchies(
  mounts: string,
  memberships: string,
  exists: (folder: string) => boolean,
): Hierarchies {
  const paths = new Map(memberships.split('\n').flatMap(parseMembership));
  const separate = new Map<Control, OwnGroup>();
  let unified: OwnGroup | undefined;
  for (const { root, mount, type, options } of mounts.split('\n').flatMap(parseMount)) {
    const group = (path: string | undefined) => path !== undefined && ownGroup(mount, root, path, exists);
    if (type === 'cgroup2') unified ??= group(paths.get('')) || undefined;
    if (type !== 'cgroup') continue;
    for (const control of controls.filter((name) => options.includes(name))) {
      const found = group(paths.get(control));
      if (found) separate.set(control, found);
    }
  }
  return { separate, unified };
}

function ownGroup(
  mount: string,
  root: string,
  path: string,
  exists: (folder: string) => boolean,
): OwnGroup | undefined {
  const below = root !== '/' && path.startsWith(root) ? path.slice(root.length) : path;
  return [join(mount, below), mount].filter(exists).map((folder) => ({ mount, folder }))[0];
}

/** `4:memory:/a` → memory; `0::/a` → the empty name. */
function parseMembership(line: string): [string, string][] {
  const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
  return path === undefined ? [] : (names ?? '').split(',').map((name) => [name, path]);
}

/** proc(5): id parent device root mount options [optional …] - type source superoptions */
function parseMount(line: string): { root: string; mount: string; type: string; options: string[] }[] {
  const [before = '', after] = line.split(' - ');
  const [, , , root, mount] = before.split(' ');
  const [type, , options = ''] = after?.split(' ') ?? [];
  if (root === undefined || mount === undefined || type === undefined) return [];
  return [{ root, mount, type, options: options.split(',') }];
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
