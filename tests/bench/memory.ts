/** What the processes of an Alto hold in memory, each by its name (Linux). */
import { readdirSync, readFileSync } from 'node:fs';
import { type Alto } from '@alto/testing';
import { withDescendants } from './processes';

export interface ProcessMemory {
  readonly pid: number;
  readonly name: string;
  readonly pssMb: number;
}

export const appName = 'apps';

/** Proportional set size: memory that several processes share is counted once in the sum. */
export async function memoryOf(alto: Alto): Promise<ProcessMemory[]> {
  const names = await namesIn(alto);
  const folder = alto.dataDirectory;
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const owned = names.has(pid) || command.includes(folder) || environmentOf(pid).includes(folder);
        const kb = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
        if (!owned || kb === undefined) return [];
        return [{ pid, name: names.get(pid) ?? programOf(command), pssMb: Number(kb) / 1024 }];
      } catch {
        return []; // It ended, or belongs to somebody else.
      }
    })
    .filter(({ pid }) => pid !== process.pid);
}

/** A sandboxed app does not see the folder of its Alto: it is known by what it descends from. */
async function namesIn(alto: Alto): Promise<Map<number, string>> {
  const { pid: agent, workloads } = await alto.status();
  const names = new Map([[agent, 'node-agent']]);
  for (const { pid, name, kind } of workloads) {
    if (pid === null) continue;
    if (kind !== 'instance') names.set(pid, name);
    else for (const one of withDescendants(pid)) names.set(one, appName);
  }
  return names;
}

function environmentOf(pid: number): string {
  return readFileSync(`/proc/${pid}/environ`, 'utf8');
}

function programOf(command: string): string {
  if (/shim-\d|log-guard/.test(command)) return 'shims';
  // Around the app, and inside as its first process: not below the app.
  if (/\/bwrap /.test(command)) return 'sandboxes';
  if (/postgres:/.test(command) || /bin\/postgres/.test(command)) return 'postgres (backends)';
  if (/haproxy/.test(command)) return 'haproxy (worker)';
  return command.slice(0, 60);
}
