/**
 * A cgroup names all processes of a run, whatever they did to get away (a session of their own, two forks).
 * Used where one can be made; elsewhere descendants are recorded.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class Cgroups {
  private constructor(private readonly root: string) {}

  /** @param name of the group that holds all of one Alto. Undefined where this process may not make groups. */
  static find(name: string): Cgroups | undefined {
    for (const parent of candidates()) {
      const root = join(parent, name);
      if (canUse(root)) return new Cgroups(root);
    }
    return undefined;
  }

  /**
   * Puts a process, and all that it will start, into a group of its own. Returns the group's folder, or
   * undefined when the system refuses: then the run is followed by its descendants.
   */
  enter(run: string, pid: number): string | undefined {
    const group = join(this.root, run);
    try {
      mkdirSync(group, { recursive: true });
      writeFileSync(join(group, 'cgroup.procs'), String(pid));
      return group;
    } catch {
      removeGroup(group);
      return undefined;
    }
  }

  /** Removes the groups of runs that have ended, then the one that held them. */
  close(): void {
    if (!existsSync(this.root)) return;
    for (const entry of readdirSync(this.root, { withFileTypes: true })) {
      if (entry.isDirectory()) removeGroup(join(this.root, entry.name));
    }
    removeGroup(this.root);
  }
}

/** Pids of a group's processes, zombies included; none where the group is gone. */
export function membersOf(group: string): number[] {
  try {
    return readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Does nothing while a process is left in it. */
export function removeGroup(group: string): void {
  try {
    rmdirSync(group);
  } catch {
    return; // still has members, or is gone
  }
}

/** The group this process is in, for cgroup 2 and for the `pids` hierarchy of cgroup 1. */
function candidates(): string[] {
  try {
    const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
    return lines.flatMap((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (path === undefined) return [];
      if (controllers === 'pids') return [join('/sys/fs/cgroup/pids', path)];
      return controllers === '' && existsSync('/sys/fs/cgroup/cgroup.controllers')
        ? [join('/sys/fs/cgroup', path)]
        : [];
    });
  } catch {
    return [];
  }
}

/** Making a group may be allowed where moving a process into it is not: tried with the calling process and undone. */
function canUse(root: string): boolean {
  const trial = join(root, `trial-${process.pid}`);
  try {
    mkdirSync(trial, { recursive: true });
    writeFileSync(join(trial, 'cgroup.procs'), String(process.pid));
    writeFileSync(join(root, '..', 'cgroup.procs'), String(process.pid));
    return true;
  } catch {
    return false;
  } finally {
    removeGroup(trial);
  }
}
