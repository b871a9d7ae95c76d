/** The sandbox of an agent, from its settings. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { NodeAgentConfig } from '../config';
import type { DataDirectory } from '../data-directory';
import { joins } from '../join';
import { controls, type Control } from '../runtime/process/cgroups/hierarchies';
import type { AgentState } from '../state/agent-state';
import { chooseAppNetwork } from './machine-network';
import { keptPrograms } from './kept-programs';
import { Sandbox } from './sandbox';

export interface AgentFacts {
  config: NodeAgentConfig;
  directory: DataDirectory;
  /** Folders with Node, as in PATH. */
  nodePath: string;
  /** What this machine can bound. */
  bounded: ReadonlySet<Control>;
  state: Pick<AgentState, 'places' | 'ports' | 'furtherPorts'>;
}

export interface PublicPorts {
  api: number;
  apps: number;
  s3: number;
}

const words: Readonly<Record<Control, string>> = { memory: 'memory', cpu: 'CPU', pids: 'processes' };

export async function openSandbox({ config, directory, nodePath, bounded, state }: AgentFacts): Promise<Sandbox> {
  const { places, ports, furtherPorts } = state;
  const placed = Object.entries(places).flatMap(([id, { level }]) => {
    const main = ports[id];
    return level === 'sandboxed' && main !== undefined ? [[main, Object.values(furtherPorts[id] ?? {})] as const] : [];
  });
  const chosen = chooseAppNetwork({
    name: createHash('sha256').update(directory.root).digest('hex').slice(0, 6),
    record: join(directory.state, 'sandbox-network'),
    network: config.ALTO_SANDBOX_NETWORK,
    refused: config.ALTO_SANDBOX_REFUSED,
    nodeIp: config.ALTO_NODE_IP,
    publicPorts: Object.values(publicPortsOf(config, directory) ?? {}),
    publicHost: config.ALTO_PUBLIC_HOST,
  });
  const given = {
    ...(config.ALTO_BUBBLEWRAP !== undefined && { bwrap: config.ALTO_BUBBLEWRAP }),
    ...(config.ALTO_NFT !== undefined && { nft: config.ALTO_NFT }),
  };
  return await Sandbox.open({
    policy: config.ALTO_SANDBOX,
    folder: join(directory.runtime, 'sandbox'),
    programs: await keptPrograms(config.PATH, given, join(directory.runtime, 'bin')),
    network: chosen.network,
    networkProblem: chosen.problem,
    resolv: chosen.resolv,
    ports: new Map(placed),
    programFolders: nodePath.split(':').filter((folder) => folder !== ''),
    readablePaths: config.ALTO_SANDBOX_READABLE,
    firstUid: config.ALTO_SANDBOX_UID_FIRST,
    unbounded: controls.filter((control) => !bounded.has(control)).map((control) => words[control]),
  });
}

/** Where the load balancer serves on this machine; undefined where there is none: Docker runs it, or another machine. */
export function publicPortsOf(config: NodeAgentConfig, directory: DataDirectory): PublicPorts | undefined {
  if (config.ALTO_SERVICES === 'external' || joins(directory)) return undefined;
  return { api: config.ALTO_API_PORT, apps: config.ALTO_APPS_PORT, s3: config.ALTO_S3_PORT };
}
