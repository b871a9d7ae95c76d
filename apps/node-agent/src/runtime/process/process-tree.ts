/** All processes of a run: found by its cgroup, else by descent, by what was recorded, and by the run's mark in the environment. */
import {
  descendantsOf,
  identityOf,
  isAlive,
  listProcesses,
  readProcess,
  wasStartedWith,
  type ProcessIdentity,
} from './process-table';
import type { RunFolder } from './run-folder';

/** A process that forks while it is being killed is met again in the next round. */
const KILL_ROUNDS = 20;

export class ProcessTree {
  /** Living processes of a run, its shim excluded: the shim has yet to write the exit code. */
  living(run: RunFolder, marker: string): ProcessIdentity[] {
    const members = run.group?.members() ?? this.relatives(run, marker);
    return members
      .filter((pid) => pid !== run.shim?.pid)
      .map(identityOf)
      .filter((identity) => identity !== undefined)
      .filter(isAlive);
  }

  kill(run: RunFolder, marker: string): void {
    run.group?.forbidForks();
    for (let round = 0; round < KILL_ROUNDS; round++) {
      const living = this.living(run, marker);
      if (living.length === 0) return;
      for (const { pid } of living) killQuietly(pid);
    }
  }

  /**
   * Writes down who descends from the runs now. A process that later leaves its parent and its session, as
   * PostgreSQL's do when the postmaster is killed, is known by this alone where there is no cgroup.
   */
  record(runs: readonly RunFolder[]): void {
    const without = runs.filter((run) => run.group === undefined && run.main !== undefined);
    if (without.length === 0) return;
    const table = listProcesses();
    for (const run of without) {
      const known = run.descendants.filter(isAlive);
      const ancestors = new Set([run.main, ...known].filter((found) => found !== undefined).map(({ pid }) => pid));
      const fresh = descendantsOf(ancestors, table)
        .map(({ pid }) => identityOf(pid))
        .filter((identity) => identity !== undefined);
      const recorded = run.descendants;
      if (fresh.length > 0 || known.length !== recorded.length) run.descendants = [...known, ...fresh];
    }
  }

  private relatives(run: RunFolder, marker: string): number[] {
    const table = listProcesses();
    const known = run.descendants.filter(isAlive).map(({ pid }) => pid);
    const roots = [run.shim, run.main].filter((found) => found !== undefined && isAlive(found));
    const ancestors = new Set([...known, ...roots.map((root) => root?.pid ?? 0)]);
    const marked = table.filter(({ pid }) => wasStartedWith(pid, marker)).map(({ pid }) => pid);
    const descendants = descendantsOf(ancestors, table).map(({ pid }) => pid);
    return [...new Set([...ancestors, ...descendants, ...marked])].filter((pid) => readProcess(pid)?.zombie === false);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // gone meanwhile
  }
}
