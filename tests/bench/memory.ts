/** What the processes of an Alto hold in memory, each by its name (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessMemory {
  readonly pid: number;
  readonly name: string;
  readonly pssMb: number;
}

/** Proportional set size: memory that several processes share is counted once in the sum. */
export function memoryOf(folder: string, names: ReadonlyMap<number, string>): ProcessMemory[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const owned = command.includes(folder) || readFileSync(`/proc/${pid}/environ`, 'utf8').includes(folder);
        const kb = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
        if (!owned || kb === undefined) return [];
        return [{ pid, name: names.get(pid) ?? programOf(command), pssMb: Number(kb) / 1024 }];
      } catch {
        return []; // It ended, or belongs to somebody else.
      }
    })
    .filter(({ pid }) => pid !== process.pid);
}

function programOf(command: string): string {
  if (/shim-\d|log-guard/.test(command)) return 'shims';
  if (/postgres:/.test(command) || /bin\/postgres/.test(command)) return 'postgres (backends)';
  if (/haproxy/.test(command)) return 'haproxy (worker)';
  return command.slice(0, 60);
}
