/**
 * Finds the app in its sandbox. bubblewrap stays outside as the main process of the run; inside it is the first
 * process and reaps, and the second one is the app. Signals go to the app itself: the outer bubblewrap would die of
 * them and take the app along, the inner one takes none.
 */
import { readFileSync } from 'node:fs';
import { identityOf, listProcesses, readProcess, type ProcessIdentity } from './process-table';

/** @param info file in which bubblewrap names the first process @returns undefined while there is no app yet */
export function findApp(info: string, main: ProcessIdentity): ProcessIdentity | undefined {
  const first = firstProcess(info);
  // The number alone could be somebody else's by now.
  if (first === undefined || readProcess(first)?.parent !== main.pid) return undefined;
  const app = childrenOf(first).find((pid) => pidInside(pid) === '2');
  return app === undefined ? undefined : identityOf(app);
}

/** By its number alone, which is its own while the sandbox lives. */
export function firstProcess(info: string): number | undefined {
  try {
    const { 'child-pid': pid } = JSON.parse(readFileSync(info, 'utf8')) as { 'child-pid'?: number };
    return pid;
  } catch {
    return undefined; // not written, or not to its end
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return listProcesses().flatMap((entry) => (entry.parent === pid ? [entry.pid] : []));
  }
}

/** The last of the numbers that a process has, one for each namespace (proc(5), NSpid). */
function pidInside(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return /^NSpid:.*\t(\d+)$/m.exec(status)?.[1];
  } catch {
    return undefined; // gone meanwhile
  }
}
