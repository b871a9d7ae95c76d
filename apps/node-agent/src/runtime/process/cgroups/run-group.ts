/**
 * The cgroup of one run: one folder, or for cgroup 1 one for each hierarchy. What a folder can tell and do is seen from
 * the files in it, so that a run is understood by an agent that would place it elsewhere.
 */
import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export class RunGroup {
  /** @param folders the first one lists the members */
  constructor(readonly folders: readonly string[]) {}

  /** Reads what `record` wrote: a folder a line. */
  static parse(record: string): RunGroup {
    return new RunGroup(record.split('\n').filter((line) => line !== ''));
  }

  get record(): string {
    return this.folders.join('\n');
  }

  /** Pids of all processes, zombies included; none where the group is gone. */
  members(): number[] {
    const [first] = this.folders;
    if (first === undefined) return [];
    return (read(join(first, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number);
  }

  /** How many of its processes the kernel has killed because the group was over its memory. */
  memoryKills(): number {
    return this.sum(['memory.events', 'memory.oom_control'], 'oom_kill');
  }

  /** How often a process could not be started because the group was at its limit. */
  refusedForks(): number {
    return this.sum(['pids.events'], 'max');
  }

  /** After this what is killed stays killed: nothing in the group can start a process any more. */
  forbidForks(): void {
    for (const folder of this.folders) {
      const file = join(folder, 'pids.max');
      if (!existsSync(file)) continue;
      try {
        writeFileSync(file, '0');
      } catch {
        return; // the group is gone, and with it what it held
      }
    }
  }

  /**
   * Does nothing while a process is left in it, be it one that has yet to be waited for. The group that held it goes
   * with the last one. @returns whether it is gone
   */
  remove(): boolean {
    const outcomes = this.folders.map((folder) => {
      const outcome = removeFolder(folder);
      if (outcome === 'removed') removeFolder(dirname(folder));
      return outcome;
    });
    return !outcomes.includes('busy');
  }

  private sum(files: readonly string[], counter: string): number {
    const texts = this.folders.flatMap((folder) => files.map((file) => read(join(folder, file)) ?? ''));
    return texts.reduce((total, text) => total + counterOf(text, counter), 0);
  }
}

/** Of lines such as `oom_kill 2`; 0 when it is not there. */
function counterOf(text: string, counter: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${counter} `));
  return Number(line?.slice(counter.length + 1) ?? 0);
}

/** @returns `busy` for a group that has members, or groups in it */
export function removeFolder(folder: string): 'removed' | 'busy' | 'missing' {
  try {
    rmdirSync(folder);
    return 'removed';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EBUSY' ? 'busy' : 'missing';
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
