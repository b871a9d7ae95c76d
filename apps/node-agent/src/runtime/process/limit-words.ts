/** What a limit has done to a run, in words for its people. */
import type { Exit, RunLimits } from '../runtime';
import type { RunGroup } from './cgroups/run-group';

/** Which limit ended it; undefined where none did. One that ended well had no need of what it was refused. */
export function causeOf(exit: Exit, limits: RunLimits, group: RunGroup): string | undefined {
  if (exit.code === 0) return undefined;
  if (group.memoryKills() > 0) return `out of memory (its limit is ${mebibytes(limits.memoryBytes)})`;
  if (group.refusedForks() > 0) return `it was at its limit of ${limits.processesMax} processes`;
  return undefined;
}

/** Which limit has held a living run back. */
export function warningOf(limits: RunLimits, group: RunGroup): string | undefined {
  const said = [
    ...(group.memoryKills() > 0
      ? [`a process of it was killed: out of memory (its limit is ${mebibytes(limits.memoryBytes)})`]
      : []),
    ...(group.refusedForks() > 0 ? [`it was at its limit of ${limits.processesMax} processes`] : []),
  ];
  return said.length === 0 ? undefined : said.join('; ');
}

function mebibytes(bytes: number): string {
  return `${Number((bytes / 2 ** 20).toFixed(1))} MiB`;
}
