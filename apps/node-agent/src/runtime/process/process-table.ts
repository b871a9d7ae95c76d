/** What the operating system says about processes. A pid alone names nobody: it is used again. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** A process for good: its pid, when it started, and in which boot of the machine. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since boot (Linux, /proc/<pid>/stat field 22), else the text of `ps -o lstart=`. */
  started: string;
  boot: string;
}

export interface ProcessEntry {
  pid: number;
  parent: number;
  started: string;
  /** Dead, waiting for its parent to look: it runs nothing and holds nothing. */
  zombie: boolean;
}

const hasProc = existsSync('/proc/self/stat');

/** Stays the same until the machine restarts. */
export const bootId = hasProc ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() : '-';

/** Reads `pid started boot`, as the shim writes it. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  const [pid, started, boot] = text.trim().split(' ');
  if (!pid || !started || !boot || !/^[1-9]\d*$/.test(pid)) return undefined;
  return { pid: Number(pid), started, boot };
}

export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.boot !== bootId) return false;
  const entry = readProcess(identity.pid);
  return entry !== undefined && !entry.zombie && entry.started === identity.started;
}

export function readProcess(pid: number): ProcessEntry | undefined {
  if (!hasProc) return listByPs(['-p', String(pid)])[0];
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined; // gone, or gone while being read (ESRCH)
  }
}

export function identityOf(pid: number): ProcessIdentity | undefined {
  const entry = readProcess(pid);
  return entry && { pid, started: entry.started, boot: bootId };
}

export function listProcesses(): ProcessEntry[] {
  if (!hasProc) return listByPs(['-ax']);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((entry) => entry !== undefined);
}

/** Whether the process was started with this variable, e.g. `NAME=value`; false where that cannot be read. */
export function wasStartedWith(pid: number, variable: string): boolean {
  if (!hasProc) return false;
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(variable);
  } catch {
    return false;
  }
}

/** All descendants of the given processes, themselves excluded. */
export function descendantsOf(ancestors: ReadonlySet<number>, table: readonly ProcessEntry[]): ProcessEntry[] {
  const children = Map.groupBy(table, (entry) => entry.parent);
  const found: ProcessEntry[] = [];
  const queue = [...ancestors];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    for (const child of children.get(pid) ?? []) {
      if (!ancestors.has(child.pid)) found.push(child);
      queue.push(child.pid);
    }
  }
  return found;
}

/** `pid (comm) state ppid …`: comm may hold blanks and parentheses, so fields count from the last one. */
function parseStat(pid: number, stat: string): ProcessEntry | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent] = fields;
  const started = fields[19];
  if (state === undefined || parent === undefined || started === undefined) return undefined;
  return { pid, parent: Number(parent), started, zombie: state === 'Z' || state === 'X' };
}

function listByPs(selection: readonly string[]): ProcessEntry[] {
  try {
    const output = execFileSync('ps', ['-o', 'pid=,ppid=,state=,lstart=', ...selection], {
      encoding: 'utf8',
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    });
    return output.split('\n').flatMap(parsePsLine);
  } catch {
    return []; // ps exits with 1 when nothing was selected
  }
}

function parsePsLine(line: string): ProcessEntry[] {
  const [pid, parent, state, ...started] = line.trim().split(/\s+/);
  if (!pid || !parent || !state) return [];
  return [{ pid: Number(pid), parent: Number(parent), started: started.join('_'), zombie: state.startsWith('Z') }];
}
