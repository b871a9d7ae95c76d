/** Ports that are opened here and served by somebody else: connections wait until that has been started. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { portHolder } from '../../first-start/ports';
import type { ListeningSocket } from '../runtime';

/** The kernel's own bound is smaller, and counts. */
const backlog = 65_535;

export interface OpenSockets {
  /** In the order in which they were asked for. */
  descriptors: number[];
  /** To be called in the same turn: from the next on this process would take connections itself. */
  close(): void;
}

/** Those that the command asks for: one that opens a port itself could not, if it were open already. */
export function socketsNamed(sockets: readonly ListeningSocket[]): ListeningSocket[] {
  return sockets.filter(({ variable, namedIn }) => readFileSync(namedIn, 'utf8').includes(variable));
}

/**
 * Between addresses and not names nothing is waited for: whoever goes on with the result without waiting either is
 * there before this process could take a connection. @throws Error that names the port and who holds it
 */
export async function openSockets(sockets: readonly ListeningSocket[]): Promise<OpenSockets> {
  const servers = sockets.map(({ host, port }) =>
    createServer().listen({ host: host === '*' ? '0.0.0.0' : host, port, backlog, exclusive: true }),
  );
  const close = () => servers.forEach((server) => server.close());
  const opened = await Promise.allSettled(servers.map((server) => once(server, 'listening')));
  const failed = opened.findIndex(({ status }) => status === 'rejected');
  if (failed === -1) return { descriptors: servers.map(descriptorOf), close };
  close();
  throw describe(sockets[failed]?.port ?? 0, (opened[failed] as PromiseRejectedResult).reason);
}

/** Node passes what listens to processes of its own kind alone, so there is no public way to the number. */
function descriptorOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

function describe(port: number, error: NodeJS.ErrnoException): Error {
  const holder = error.code === 'EADDRINUSE' ? portHolder(port) : undefined;
  const reason =
    holder === undefined ? error.message : `it is taken by process ${holder.pid} (${holder.command.slice(0, 80)})`;
  return new Error(`Port ${port} cannot be opened: ${reason}.`, { cause: error });
}
