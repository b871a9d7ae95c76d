/**
 * Control groups: one for each run. A group names all processes of a run, whatever they did to get away (a session of
 * their own, two forks), and bounds what they take together. Used where one can be made; elsewhere descendants are
 * recorded and nothing is bounded.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunLimits } from '../../runtime';
import { controls, findHierarchies, type Control, type Hierarchies, type OwnGroup } from './hierarchies';
import { separateSettings, unifiedSettings, type Setting } from './limits';
import { removeFolder, RunGroup } from './run-group';

/** A folder in which runs get theirs, and what can be bounded there. */
interface Root {
  folder: string;
  controls: readonly Control[];
  /** cgroup 2: groups in it have the controls that were handed on to them alone. */
  handsOn: boolean;
}

type SettingsOf = (control: Control, limits: RunLimits) => readonly Setting[];

export class Cgroups {
  private constructor(
    /** The first one lists the members of runs. */
    private readonly roots: readonly Root[],
    private readonly settingsOf: SettingsOf,
  ) {}

  /**
   * @param name of the group that holds all of one Alto
   * @returns undefined where this process may not make groups; else the kind that can bound the most
   */
  static find(name: string, hierarchies: Hierarchies = findHierarchies()): Cgroups | undefined {
    const found = [findUnified(name, hierarchies), findSeparate(name, hierarchies)].filter((one) => one !== undefined);
    const [best, ...others] = found.sort((left, right) => right.controls.size - left.controls.size);
    for (const other of others) other.close();
    return best;
  }

  /** @internal for the two kinds below */
  static over(roots: readonly Root[], settingsOf: SettingsOf): Cgroups {
    return new Cgroups(roots, settingsOf);
  }

  /** What can be bounded here. */
  get controls(): ReadonlySet<Control> {
    return new Set(this.roots.flatMap((root) => root.controls));
  }

  /**
   * Puts a process, and all that it will start, into a group of its own. @returns undefined when the system refuses:
   * then the run is followed by its descendants and has no bounds.
   */
  enter(run: string, pid: number, limits?: RunLimits): RunGroup | undefined {
    const roots = this.roots.filter((_, place) => place === 0 || limits !== undefined);
    const name = freeName(run, roots);
    const group = new RunGroup(roots.map(({ folder }) => join(folder, name)));
    try {
      for (const root of roots) {
        const folder = join(root.folder, name);
        makeRoot(root);
        mkdirSync(folder, { recursive: true });
        for (const control of limits ? root.controls : []) {
          for (const [file, value] of this.settingsOf(control, limits as RunLimits)) set(join(folder, file), value);
        }
        writeFileSync(join(folder, 'cgroup.procs'), String(pid));
      }
      return group;
    } catch {
      group.remove();
      return undefined;
    }
  }

  /** Removes the groups of runs that have ended, then the one that held them. @returns whether nothing is left */
  close(): boolean {
    const outcomes = this.roots.map(({ folder }) => {
      if (!existsSync(folder)) return 'missing';
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (entry.isDirectory()) removeFolder(join(folder, entry.name));
      }
      return removeFolder(folder);
    });
    return !outcomes.includes('busy');
  }
}

/** It went with the last run that was in it. Made anew it has handed nothing on. */
function makeRoot({ folder, controls: bounds, handsOn }: Root): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true });
  if (handsOn) for (const control of bounds) handOn(folder, control);
}

/**
 * A run may have the number of one that was forgotten while the last of its processes was on its way out. The group of
 * that one is still there, forbids to start a process, and has counted what happened in it: it is nobody else's.
 */
function freeName(run: string, roots: readonly Root[]): string {
  for (let attempt = 1; ; attempt++) {
    const name = attempt === 1 ? run : `${run}-${attempt}`;
    if (roots.every(({ folder }) => removeFolder(join(folder, name)) !== 'busy')) return name;
  }
}

/** cgroup 1: the hierarchy that counts processes also lists them. */
function findSeparate(name: string, { separate }: Hierarchies): Cgroups | undefined {
  const roots = (['pids', 'memory', 'cpu'] as const).flatMap((control) => {
    const own = separate.get(control);
    if (own === undefined) return [];
    const folder = join(own.folder, name);
    return canUse(folder, own) ? [{ folder, controls: [control], handsOn: false }] : [];
  });
  return roots[0]?.controls[0] === 'pids' ? Cgroups.over(roots, separateSettings) : undefined;
}

/**
 * cgroup 2: a group with processes of its own cannot hand controls on, the topmost excepted. So Alto's lies in the
 * agent's own where it can, else at the top. Where neither can, as in a container, runs have groups without bounds.
 */
function findUnified(name: string, { unified }: Hierarchies): Cgroups | undefined {
  if (unified === undefined) return undefined;
  const roots = [...new Set([unified.folder, unified.mount])].flatMap((parent) => {
    const folder = join(parent, name);
    if (!canUse(folder, unified)) return [];
    const bounds = mayHandOn(parent) ? controls : [];
    const handed = bounds.filter((control) => handOn(parent, control) && handOn(folder, control));
    return [{ folder, controls: handed, handsOn: true }];
  });
  const [best] = roots.sort((left, right) => right.controls.length - left.controls.length);
  for (const { folder } of roots) if (folder !== best?.folder) removeFolder(folder);
  return best && Cgroups.over([best], unifiedSettings);
}

/**
 * The kernel takes CPU and pids from a group with processes all the same, for threads: then no process can enter a group
 * below it any more. The topmost group has no type.
 */
function mayHandOn(folder: string): boolean {
  const hasProcesses = () => new RunGroup([folder]).members().length > 0;
  return !existsSync(join(folder, 'cgroup.type')) || !hasProcesses();
}

function handOn(folder: string, control: Control): boolean {
  try {
    writeFileSync(join(folder, 'cgroup.subtree_control'), `+${control}`);
    return true;
  } catch {
    return false;
  }
}

/** Making a group may be allowed where moving a process into it is not: tried with the calling process and undone. */
function canUse(folder: string, own: OwnGroup): boolean {
  const trial = join(folder, `trial-${process.pid}`);
  try {
    mkdirSync(trial, { recursive: true });
    writeFileSync(join(trial, 'cgroup.procs'), String(process.pid));
    writeFileSync(join(own.folder, 'cgroup.procs'), String(process.pid));
    return true;
  } catch {
    return false;
  } finally {
    removeFolder(trial);
  }
}

/** What a kernel does not count it has no file for. */
function set(file: string, value: string): void {
  if (existsSync(file)) writeFileSync(file, value);
}
