/** Limits of a run as the kernel wants them written, for both versions of cgroups. Pure. */
import type { RunLimits } from '../../runtime';
import type { Control } from './hierarchies';

/** A file of a group and what is written to it, in order. */
export type Setting = readonly [file: string, value: string];

/** The quota counts for each tenth of a second. */
const PERIOD_US = 100_000;
/** The kernel takes no smaller quota. */
const QUOTA_US_MIN = 1_000;

/**
 * Memory and swap are bounded together: an app that is over its memory ends, instead of making the machine slow. The
 * file with the sum is not there where the kernel does not count swap.
 */
export function separateSettings(control: Control, limits: RunLimits): readonly Setting[] {
  switch (control) {
    case 'memory':
      return [
        ['memory.limit_in_bytes', String(limits.memoryBytes)],
        ['memory.memsw.limit_in_bytes', String(limits.memoryBytes)],
      ];
    case 'cpu':
      return [
        ['cpu.shares', String(Math.max(2, Math.round((limits.cpuMillis * 1_024) / 1_000)))],
        ['cpu.cfs_period_us', String(PERIOD_US)],
        ['cpu.cfs_quota_us', String(quotaUs(limits))],
      ];
    case 'pids':
      return [['pids.max', String(limits.processesMax)]];
  }
}

export function unifiedSettings(control: Control, limits: RunLimits): readonly Setting[] {
  switch (control) {
    case 'memory':
      return [
        ['memory.max', String(limits.memoryBytes)],
        ['memory.swap.max', '0'],
      ];
    case 'cpu':
      // 100 is the weight of a group that nobody has given one: that of a whole CPU here.
      return [
        ['cpu.weight', String(Math.min(10_000, Math.max(1, Math.round(limits.cpuMillis / 10))))],
        ['cpu.max', `${quotaUs(limits)} ${PERIOD_US}`],
      ];
    case 'pids':
      return [['pids.max', String(limits.processesMax)]];
  }
}

function quotaUs({ cpuMillisMax }: RunLimits): number {
  return Math.max(QUOTA_US_MIN, Math.round((cpuMillisMax * PERIOD_US) / 1_000));
}
