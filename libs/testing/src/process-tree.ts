/** What runs: for tests that kill or freeze a server with all it has started. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** False for a process that has ended, even if nobody has waited for it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return process.platform !== 'linux' || statusOf(pid)?.state !== 'Z';
}

/** Direct children of a process. */
export function childrenOf(parent: number): number[] {
  return processes()
    .filter((one) => one.parent === parent)
    .map(({ pid }) => pid);
}

/** Start of a process in units of the system: with its pid it names the process, since pids are used again. */
export function startOf(pid: number): string {
  if (process.platform === 'linux') return statusOf(pid)?.start ?? '0';
  const { stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  return String(Date.parse(stdout.trim()) || 0);
}

function processes(): { pid: number; parent: number }[] {
  if (process.platform !== 'linux') {
    const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
    return stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .map(([pid = 0, parent = 0]) => ({ pid, parent }));
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const status = statusOf(Number(name));
      return status === undefined ? [] : [{ pid: Number(name), parent: status.parent }];
    });
}

/** Fields 3, 4 and 22 of /proc/<pid>/stat (proc(5)); the name before them may hold any character. */
function statusOf(pid: number): { state: string; parent: number; start: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0]!, parent: Number(fields[1]), start: fields[19]! };
  } catch {
    return undefined;
  }
}
