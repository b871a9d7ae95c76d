/** Ports: which are free, and who holds those that are not. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';

export interface PublicPort {
  port: number;
  /** What it is for, e.g. `the API`. */
  purpose: string;
  /** The setting that chooses another. */
  setting: string;
}

export interface PortHolder {
  pid: number;
  /** The process's command line. */
  command: string;
}

/** A bind tells the truth; reading tables of connections does not, across namespaces and address families. */
export async function isPortFree(host: string, port: number): Promise<boolean> {
  const address = host === '*' ? {} : { host };
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ ...address, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Finds the process that listens on a port, where the system lets us see it (Linux; others' processes: as root). */
export function portHolder(port: number): PortHolder | undefined {
  const sockets = new Set(listeningInodes(port).map((inode) => `socket:[${inode}]`));
  if (sockets.size === 0) return undefined;
  for (const pid of listOf('/proc').filter((name) => /^\d+$/.test(name))) {
    if (listOf(`/proc/${pid}/fd`).some((fd) => sockets.has(linkOf(`/proc/${pid}/fd/${fd}`)))) {
      return { pid: Number(pid), command: textOf(`/proc/${pid}/cmdline`).split('\0').join(' ').trim() };
    }
  }
  return undefined;
}

/** One sentence for each port that somebody else holds. `isOurs` tells whether it is this Alto's own proxy. */
export async function takenPorts(
  host: string,
  ports: readonly PublicPort[],
  isOurs: (holder: PortHolder) => boolean,
): Promise<string[]> {
  const problems: string[] = [];
  for (const { port, purpose, setting } of ports) {
    if (await isPortFree(host, port)) continue;
    const holder = portHolder(port);
    if (holder !== undefined && isOurs(holder)) continue;
    const who = holder === undefined ? 'another process' : `process ${holder.pid} (${holder.command.slice(0, 80)})`;
    problems.push(
      `Port ${port} for ${purpose} is taken by ${who}: stop it, or choose another port with ${setting}=<port>.`,
    );
  }
  return problems;
}

/** @returns the first port of a run of `count` free ones on loopback, at or after `first`. */
export async function freePortBlock(first: number, count: number): Promise<number> {
  for (let start = first; start + count <= 65_535; start += count) {
    const ports = Array.from({ length: count }, (_, index) => start + index);
    const free = await Promise.all(ports.map((port) => isPortFree('127.0.0.1', port)));
    if (free.every(Boolean)) return start;
  }
  throw new Error(
    `There are no ${count} free ports in a row from ${first} on: choose others with ALTO_SERVICE_PORT_FIRST.`,
  );
}

/** Inode numbers of sockets in state LISTEN on this port, from the kernel's tables. */
function listeningInodes(port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const listening = '0A';
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    textOf(table)
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === listening && local?.endsWith(wanted))
      .map((fields) => fields[9] ?? ''),
  );
}

/** Processes come and go while we look: what has gone holds nothing. */
function listOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
