/** What a running HAProxy says of itself on its sockets. Pure; the formats are those of its management guide. */
import { isIP } from 'node:net';

export interface RuntimeSlot {
  readonly address: string;
  readonly port: number;
  /** It gets requests as far as its administrator says; its health is another matter. */
  readonly inService: boolean;
  readonly weight: number;
  readonly health: 'up' | 'down';
}

/** Backend name → slot name → state. */
export type RuntimeServers = ReadonlyMap<string, ReadonlyMap<string, RuntimeSlot>>;

export interface ProcessInfo {
  readonly pid: number;
  /** Together with the pid it identifies one process. */
  readonly startedAt: number;
  readonly uptimeMs: number;
  readonly structure: string;
}

const stoppedStates = new Set([0]);
/** Forced, inherited and configured maintenance, and drain, of `srv_admin_state`. */
const outOfServiceBits = 0x01 | 0x02 | 0x08 | 0x10 | 0x20;

/** `show servers state [<backend>]`. @throws Error when it is not that */
export function parseServersState(text: string): RuntimeServers {
  const [version, header, ...lines] = text.split('\n');
  if (version?.trim() !== '1' || header === undefined || !header.startsWith('# ')) {
    throw new Error(`HAProxy answered 'show servers state' with '${text.slice(0, 200)}'.`);
  }
  const columns = header.slice(2).split(' ');
  const column = (name: string) => columns.indexOf(name);
  const [backend, server, address, port] = ['be_name', 'srv_name', 'srv_addr', 'srv_port'].map(column);
  const [admin, operational, weight] = ['srv_admin_state', 'srv_op_state', 'srv_uweight'].map(column);
  const servers = new Map<string, Map<string, RuntimeSlot>>();
  for (const line of lines) {
    const fields = line.split(' ');
    if (fields.length < columns.length) continue;
    const text = (index: number | undefined) => fields[index ?? -1] ?? '';
    const ofBackend = servers.get(text(backend)) ?? new Map<string, RuntimeSlot>();
    servers.set(text(backend), ofBackend);
    ofBackend.set(text(server), {
      address: text(address),
      port: Number(text(port)),
      inService: (Number(text(admin)) & outOfServiceBits) === 0,
      weight: Number(text(weight)),
      health: stoppedStates.has(Number(text(operational))) ? 'down' : 'up',
    });
  }
  return servers;
}

export interface SlotConnections {
  /** With a request in flight. */
  readonly used: number;
  readonly idle: number;
}

/** `show servers conn <backend>` → slot name → connections. @throws Error when it is not that */
export function parseConnections(text: string): Map<string, SlotConnections> {
  const [header = '', ...lines] = text.split('\n');
  const columns = header.replace(/^# /, '').split(/\s+/);
  const used = columns.indexOf('used_cur');
  const idle = columns.indexOf('idle_cur');
  if (used === -1 || idle === -1) throw new Error(`HAProxy answered 'show servers conn' with '${text.slice(0, 200)}'.`);
  const connections = new Map<string, SlotConnections>();
  for (const line of lines) {
    const fields = line.split(/\s+/);
    const slot = fields[0]?.split('/')[1];
    if (slot !== undefined) connections.set(slot, { used: Number(fields[used]), idle: Number(fields[idle]) });
  }
  return connections;
}

/** Since the process started or the slot's counters were reset. */
export interface SlotCounters {
  readonly requests: number;
  readonly failures: number;
}

const answerColumns = ['hrsp_1xx', 'hrsp_2xx', 'hrsp_3xx', 'hrsp_4xx', 'hrsp_5xx', 'hrsp_other'];
/** Attempts without an answer: no connection, none or no valid answer on it, and either of them before a new attempt. */
const unansweredColumns = ['econ', 'eresp', 'wretr'];
/** Answers that failed, at their start or before their end. */
const failedAnswerColumns = ['hrsp_5xx', 'srv_abrt'];

/** `show stat` → backend name → slot name → counters. @throws Error when it is not that */
export function parseStat(text: string): Map<string, Map<string, SlotCounters>> {
  const [header = '', ...lines] = text.split('\n');
  const columns = header.replace(/^# /, '').split(',');
  if (columns[0] !== 'pxname' || columns[1] !== 'svname') {
    throw new Error(`HAProxy answered 'show stat' with '${text.slice(0, 200)}'.`);
  }
  const numbersOf = (names: readonly string[]) => names.map((name) => columns.indexOf(name));
  const [answers, unanswered, failed] = [answerColumns, unansweredColumns, failedAnswerColumns].map(numbersOf);
  const backends = new Map<string, Map<string, SlotCounters>>();
  for (const line of lines) {
    const fields = line.split(',');
    if (fields.length < 2) continue;
    const sum = (numbers: readonly number[] = []) =>
      numbers.reduce((all, index) => all + Number(fields[index] ?? 0), 0);
    const [backend = '', slot = ''] = fields;
    const slots = backends.get(backend) ?? new Map<string, SlotCounters>();
    backends.set(backend, slots);
    const lost = sum(unanswered);
    slots.set(slot, { requests: sum(answers) + lost, failures: sum(failed) + lost });
  }
  return backends;
}

/** `show map <file>` → key → values, which are more than one when a key was added twice. */
export function parseMap(text: string): Map<string, string[]> {
  const entries = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [reference, key, value] = line.split(' ');
    if (reference === undefined || !reference.startsWith('0x') || key === undefined || value === undefined) continue;
    entries.set(key, [...(entries.get(key) ?? []), value]);
  }
  return entries;
}

/** `show info`. @throws Error when it is not that */
export function parseInfo(text: string): ProcessInfo {
  const fields = new Map(text.split('\n').map((line) => splitOnce(line, ': ')));
  const pid = Number(fields.get('Pid'));
  const startedAt = Number(fields.get('Start_time_sec') ?? Number.NaN);
  if (!Number.isInteger(pid)) throw new Error(`HAProxy answered 'show info' with '${text.slice(0, 200)}'.`);
  const structure = /structure=([0-9a-f]+)/.exec(fields.get('description') ?? '')?.[1] ?? '';
  const uptimeMs = Number(fields.get('Uptime_sec') ?? 0) * 1_000;
  return { pid, startedAt: Number.isInteger(startedAt) ? startedAt : 0, uptimeMs, structure };
}

/** `show proc` on the master socket. */
export interface Processes {
  /** Pid of the worker that takes new connections; undefined while there is none. */
  readonly worker: number | undefined;
  /** Pids of workers of earlier generations that still finish connections. */
  readonly oldWorkers: readonly number[];
}

export function parseProcesses(text: string): Processes {
  const workers: number[] = [];
  const oldWorkers: number[] = [];
  let section = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) section = line;
    const [pid, type] = line.split(/\s+/);
    if (type !== 'worker') continue;
    (section.includes('old workers') ? oldWorkers : workers).push(Number(pid));
  }
  return { worker: workers.at(-1), oldWorkers };
}

/** One spelling of an IPv6 address, so that two can be compared. */
export function sameAddress(one: string, other: string): boolean {
  if (one === other) return true;
  if (isIP(one) !== 6 || isIP(other) !== 6) return false;
  return new URL(`http://[${one}]`).hostname === new URL(`http://[${other}]`).hostname;
}

function splitOnce(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator);
  return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + separator.length)];
}
