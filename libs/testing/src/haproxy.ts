/**
 * A real HAProxy for tests, as the agent runs it: a master with workers, on a configuration that something else writes.
 * It can be killed with all its workers, paused, resumed and started again on the same files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { basename, join } from 'node:path';
import { eventually } from './eventually';
import { currentTestFailed, keepLog } from './kept-log';
import { childrenOf, isAlive } from './process-tree';

export interface HaproxyLaunch {
  /** Folder with haproxy.cfg; the log is written there too. */
  readonly folder: string;
  /** Folder of master.sock; the same folder unless given. */
  readonly runFolder?: string;
  /** Binary to run; the one on PATH unless given. */
  readonly binary?: string;
  /** Ports on loopback that are opened for it, as the agent does; left out: it opens all by itself. */
  readonly ports?: readonly number[];
}

/** Starts HAProxy and waits until it answers on its master socket. @throws Error with its log when it does not */
export async function startHaproxy(launch: HaproxyLaunch): Promise<HaproxyServer> {
  const server = new HaproxyServer(launch);
  await server.start();
  return server;
}

export class HaproxyServer {
  private child: ChildProcess | undefined;
  private readonly killWithProcess = () => this.signalAll('SIGKILL');

  constructor(private readonly launch: HaproxyLaunch) {}

  get masterSocket(): string {
    return join(this.launch.runFolder ?? this.launch.folder, 'master.sock');
  }

  get logFile(): string {
    return join(this.launch.folder, 'haproxy.log');
  }

  /** The master's pid. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Pids of the workers, those of earlier generations included. */
  get workers(): number[] {
    return this.pid === undefined ? [] : childrenOf(this.pid);
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  async start(): Promise<void> {
    if (this.child !== undefined) return;
    const log = openSync(this.logFile, 'a');
    const args = ['-W', '-db', '-S', `${this.masterSocket},mode,600`, '-f', join(this.launch.folder, 'haproxy.cfg')];
    const sockets = await openSockets(this.launch.ports ?? []);
    const child = spawn(this.launch.binary ?? 'haproxy', args, {
      stdio: ['ignore', log, log, ...sockets.descriptors],
      env: { ...process.env, ...sockets.variables },
    });
    sockets.close();
    closeSync(log);
    this.child = child;
    process.once('exit', this.killWithProcess);
    child.once('error', () => (this.child = undefined));
    child.once('exit', () => {
      process.off('exit', this.killWithProcess);
      if (this.child === child) this.child = undefined;
    });
    const ready = await eventually(
      async () => this.child === undefined || (this.workers.length > 0 && (await accepts(this.masterSocket))),
    ).catch(() => false);
    if (!ready || this.child === undefined) throw new Error(`HAProxy did not start; its log:\n${this.log()}`);
  }

  /** SIGKILL to the master and every worker, as when the machine's memory runs out. */
  async kill(): Promise<void> {
    const child = this.child;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    const { workers } = this;
    this.signalAll('SIGKILL');
    await exited;
    await eventually(() => {
      if (workers.some(isAlive)) throw new Error('a worker of HAProxy is still there');
    });
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** It keeps its connections and answers nothing. */
  pause(): void {
    this.signalAll('SIGSTOP');
  }

  resume(): void {
    this.signalAll('SIGCONT');
  }

  /** Ends it. The log stays, and is named, when a test failed. */
  async stop(): Promise<void> {
    this.resume();
    await this.kill();
    if (currentTestFailed()) keepLog(this.logFile, basename(this.launch.folder));
  }

  private signalAll(signal: NodeJS.Signals): void {
    for (const pid of [this.pid, ...this.workers]) {
      if (pid === undefined) continue;
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended already.
      }
    }
  }
}

/** To be handed on without waiting: after that this process would take connections itself. */
async function openSockets(ports: readonly number[]) {
  const servers = ports.map((port) => createServer().listen(port, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  return {
    descriptors: servers.map((server) => (server as unknown as { _handle: { fd: number } })._handle.fd),
    variables: Object.fromEntries(ports.map((port, index) => [`ALTO_SOCKET_${port}`, `fd@${3 + index}`])),
    close: () => servers.forEach((server) => server.close()),
  };
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
