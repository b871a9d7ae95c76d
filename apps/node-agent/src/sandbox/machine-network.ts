/** Which network the apps of this machine get: one that nothing here uses yet, and the same after a restart. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { chooseNetwork, formatNetwork, overlaps, parseAddress, parseNetwork, type Network } from './address';
import { bridgeName, NETWORK_BITS, type NetworkPlan } from './network-plan';

/** Private addresses that few networks use (RFC 1918). */
const POOL = parseNetwork('10.192.0.0/10') as Network;
/** Link-local: there clouds hand credentials of the machine to whoever asks (RFC 3927). */
const LINK_LOCAL = '169.254.0.0/16';

const RESOLVERS = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

export interface NetworkWishes {
  name: string;
  /** File that keeps the choice. */
  record: string;
  publicPorts: readonly number[];
  /** Address of the public ports; `*` for all. */
  publicHost?: string;
  /** The operator's choice, e.g. `10.200.0.0/16`. */
  network?: string;
  refused?: readonly string[];
  /** Address at which this machine's apps are reached by others. */
  nodeIp?: string;
}

export interface ChosenNetwork {
  network: NetworkPlan | undefined;
  problem?: string;
  /** Content of resolv.conf for apps. */
  resolv: string;
}

export function chooseAppNetwork(wishes: NetworkWishes): ChosenNetwork {
  const { nameServers, resolv } = readResolvers();
  const taken = takenNetworks(bridgeName(wishes), nameServers);
  const network = wishes.network === undefined ? ownChoice(wishes, taken) : parseNetwork(wishes.network);
  const clash = network && taken.find((other) => overlaps(network, other));
  if (network === undefined || clash !== undefined) {
    const problem = clash
      ? `${formatNetwork(network as Network)} touches ${formatNetwork(clash)}, which this machine uses: choose another with ALTO_SANDBOX_NETWORK`
      : 'no network of 10.192.0.0/10 is free: name another with ALTO_SANDBOX_NETWORK';
    return { network: undefined, problem, resolv };
  }
  const { name, publicPorts, publicHost = '127.0.0.1', refused = [LINK_LOCAL], nodeIp = '127.0.0.1' } = wishes;
  return {
    network: {
      name,
      network,
      publicPorts,
      publicHost: publicHost === '*' || parseAddress(publicHost) === undefined ? '127.0.0.1' : publicHost,
      refused: refused.flatMap((text) => parseNetwork(text) ?? []),
      nameServers,
      nodeAddress: nodeIp.startsWith('127.') || parseAddress(nodeIp) === undefined ? undefined : nodeIp,
    },
    resolv,
  };
}

/** Kept: instances that run know their address. */
function ownChoice({ name, record }: NetworkWishes, taken: readonly Network[]): Network | undefined {
  const kept = existsSync(record) ? parseNetwork(readFileSync(record, 'utf8').trim()) : undefined;
  if (kept !== undefined && !taken.some((network) => overlaps(network, kept))) return kept;
  const start = createHash('sha256').update(name).digest().readUInt32BE(0);
  const chosen = chooseNetwork(POOL, NETWORK_BITS, taken, start);
  if (chosen !== undefined) writeFileSync(record, `${formatNetwork(chosen)}\n`, { mode: 0o644 });
  return chosen;
}

/** Networks of all interfaces and routes but the bridge's own, and name servers. */
function takenNetworks(bridge: string, nameServers: readonly string[]): Network[] {
  const interfaces = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    name === bridge ? [] : (addresses ?? []).map(({ cidr }) => cidr ?? ''),
  );
  const routes = textOf('/proc/net/route').split('\n').slice(1).flatMap(parseRoute(bridge));
  return [...routes, ...[...interfaces, ...nameServers].flatMap((text) => parseNetwork(text) ?? [])];
}

/** Addresses stand there as the machine has them in memory: little-endian, hexadecimal. The default route is no user. */
function parseRoute(bridge: string) {
  return (line: string): Network[] => {
    const [name, destination, , , , , , mask] = line.split('\t');
    if (name === undefined || destination === undefined || mask === undefined || name === bridge) return [];
    const bits = [...Number.parseInt(mask, 16).toString(2)].filter((bit) => bit === '1').length;
    const first = Buffer.from(destination, 'hex').reverse().readUInt32BE(0);
    return bits === 0 ? [] : [{ first, bits }];
  };
}

/** A resolver on loopback is out of an app's reach: where it is systemd's, the servers behind it are asked. */
function readResolvers(): { nameServers: string[]; resolv: string } {
  for (const path of RESOLVERS) {
    const lines = textOf(path).split('\n');
    const servers = lines.flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
    const nameServers = servers.filter((server) => parseAddress(server) !== undefined && !server.startsWith('127.'));
    if (nameServers.length === 0) continue;
    const rest = lines.filter((line) => /^\s*(search|domain|options)\s/.test(line));
    return { nameServers, resolv: [...nameServers.map((server) => `nameserver ${server}`), ...rest, ''].join('\n') };
  }
  return { nameServers: [], resolv: '' };
}

function textOf(path: string): string {
  try {
    return readFileSync(join(path), 'utf8');
  } catch {
    return '';
  }
}
