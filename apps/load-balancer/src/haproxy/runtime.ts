/** One running HAProxy, reached over its two sockets: what it has is read, changed and read again. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectTimeoutMs, keepAliveMs, requestTimeoutMs, retries } from './configuration';
import { runtimeCommands, type RuntimeView } from './changes';
import { type Layout, endingBackends } from './layout';
import { mapFiles } from './maps';
import { backendName } from './place-names';
import {
  parseConnections,
  parseInfo,
  parseMap,
  parseProcesses,
  parseServersState,
  parseStat,
  type ProcessInfo,
  type RuntimeServers,
  type RuntimeSlot,
  type SlotConnections,
  type SlotCounters,
} from './runtime-state';
import { ask, SocketError, tell } from './socket';

export interface RuntimePaths {
  readonly adminSocket: string;
  readonly masterSocket: string;
}

export function socketsIn(runFolder: string): RuntimePaths {
  return { adminSocket: join(runFolder, 'admin.sock'), masterSocket: join(runFolder, 'master.sock') };
}

/**
 * After this long an old process begins no request any more: by then its idle connections have been closed, headers
 * that had begun to arrive are there or refused, and all tries to connect are made. What is left are requests in
 * flight and WebSockets, which may take as long as they need.
 */
export const oldProcessQuietMs = keepAliveMs + requestTimeoutMs + connectTimeoutMs * (retries + 1) + 1_000;

/** Number of a backend → slot name → connections. */
export type EndingConnections = ReadonlyMap<number, ReadonlyMap<string, SlotConnections>>;

const reloadWithinMs = 10_000;
/** Above this many backends one answer about all of them is cheaper than one answer each. */
const singleQuestionsMax = 24;

export class HaproxyRuntime {
  constructor(private readonly paths: RuntimePaths) {}

  /** @returns undefined when no HAProxy runs. @throws SocketError when one runs and does not answer */
  async process(): Promise<ProcessInfo | undefined> {
    try {
      return parseInfo(await ask(this.paths.adminSocket, 'show info'));
    } catch (error) {
      if (error instanceof SocketError && error.absent) return undefined;
      throw error;
    }
  }

  /** Whether a master is there although no worker answers, which then is about to start. */
  async masterRuns(): Promise<boolean> {
    try {
      await ask(this.paths.masterSocket, 'show proc');
      return true;
    } catch (error) {
      if (error instanceof SocketError && error.absent) return false;
      throw error;
    }
  }

  /** Processes of earlier generations, which finish what they have in flight. */
  async oldProcesses(): Promise<readonly number[]> {
    return parseProcesses(await ask(this.paths.masterSocket, 'show proc')).oldWorkers;
  }

  /**
   * Brings the running HAProxy to the layout and verifies it by reading again.
   * @param all looks at every backend and not only at those that hold something
   * @returns commands that would still be needed: none when the layout holds
   */
  async converge(layout: Layout, all: boolean): Promise<{ commands: number; left: string[]; said: string }> {
    const { adminSocket } = this.paths;
    const commands = runtimeCommands(layout, await this.view(layout, all));
    if (commands.length === 0) return { commands: 0, left: [], said: '' };
    const said = await tell(adminSocket, commands);
    const left = runtimeCommands(layout, await this.view(layout, all));
    return { commands: commands.length, left, said };
  }

  /** Connections of the slots that get no new requests. @returns undefined when HAProxy cannot tell */
  async endingConnections(layout: Layout): Promise<EndingConnections | undefined> {
    const connections = new Map<number, Map<string, SlotConnections>>();
    try {
      for (const number of endingBackends(layout)) {
        const answer = await ask(this.paths.adminSocket, `show servers conn ${backendName(number)}`);
        connections.set(number, parseConnections(answer));
      }
      return connections;
    } catch (error) {
      if (error instanceof SocketError) return undefined;
      throw error;
    }
  }

  async slots(backend: string): Promise<ReadonlyMap<string, RuntimeSlot>> {
    const servers = parseServersState(await ask(this.paths.adminSocket, `show servers state ${backend}`));
    return servers.get(backend) ?? new Map();
  }

  /** Of all slots that are in service. */
  async counters(): Promise<ReadonlyMap<string, ReadonlyMap<string, SlotCounters>>> {
    return parseStat(await ask(this.paths.adminSocket, 'show stat -1 4 -1 no-maint'));
  }

  serversState(): Promise<string> {
    return ask(this.paths.adminSocket, 'show servers state');
  }

  /** Has the master start new workers, and waits until they run with this structure. @throws Error when they do not */
  async reload(structure: string): Promise<void> {
    // The master executes itself anew and closes the connection, with or without an answer.
    await ask(this.paths.masterSocket, 'reload').catch(() => '');
    const deadline = performance.now() + reloadWithinMs;
    for (;;) {
      const running = await this.process().catch(() => undefined);
      if (running?.structure === structure) return;
      if (performance.now() > deadline) {
        throw new Error(`HAProxy did not take up its new configuration within ${reloadWithinMs} ms; see its log.`);
      }
      await delay(20);
    }
  }

  private async view(layout: Layout, all: boolean): Promise<RuntimeView> {
    const map = async (file: string) => parseMap(await ask(this.paths.adminSocket, `show map ${file}`));
    const maps = {
      routes: await map(mapFiles.routes),
      splits: await map(mapFiles.splits),
      headers: await map(mapFiles.headers),
    };
    return { servers: await this.servers(layout, all), maps };
  }

  private async servers(layout: Layout, all: boolean): Promise<RuntimeServers> {
    const used = layout.backends.flatMap(({ pool }, number) => (pool === null ? [] : [backendName(number)]));
    if (all || used.length > singleQuestionsMax) return parseServersState(await this.serversState());
    const servers = new Map<string, ReadonlyMap<string, RuntimeSlot>>();
    for (const backend of used) servers.set(backend, await this.slots(backend));
    return servers;
  }
}
