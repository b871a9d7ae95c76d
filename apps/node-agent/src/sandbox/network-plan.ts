/**
 * The network of sandboxed apps as data: names, addresses, and what the kernel is told. Pure; `network.ts` carries it out.
 *
 *   app  eth0 10.x.P.P ──veth──▶ bridge 10.x.0.1 ──NAT──▶ internet
 *                                  │ public ports only ──▶ the load balancer
 *
 * An app's address follows from its port, of which no other instance of this machine has the same. Ports of the bridge
 * are isolated from each other: an app reaches other apps through the load balancer alone.
 */
import { formatAddress, formatNetwork, type Network } from './address';

export const NETWORK_BITS = 16;

export interface NetworkPlan {
  /** Distinguishes this Alto from others on the machine: at most 8 letters and digits. */
  name: string;
  network: Network;
  /** Ports at which the load balancer serves, and the address where it listens on this machine. */
  publicPorts: readonly number[];
  publicHost: string;
  /** What apps may not reach beyond this machine. */
  refused: readonly Network[];
  /** Name servers, reachable whatever is refused. */
  nameServers: readonly string[];
  /** Address at which other machines reach this one's apps; undefined where they do not. */
  nodeAddress: string | undefined;
}

/** One line of a program's batch input. */
type Line = string;

export const bridgeName = ({ name }: Pick<NetworkPlan, 'name'>) => `alto-${name}`;
export const tableName = ({ name }: Pick<NetworkPlan, 'name'>) => `alto_${name}`;
export const namespacePrefix = ({ name }: Pick<NetworkPlan, 'name'>) => `alto-${name}-`;
export const namespaceName = (plan: Pick<NetworkPlan, 'name'>, port: number) => `${namespacePrefix(plan)}${port}`;
/** An interface's name has 15 characters at most. */
export const vethName = ({ name }: Pick<NetworkPlan, 'name'>, port: number) => `a${name}p${port}`;

/** The bridge's own, where apps find the load balancer. */
export function gatewayAddress({ network }: Pick<NetworkPlan, 'network'>): string {
  return formatAddress(network.first + 1);
}

/** @throws RangeError for a port whose address is the network's, the bridge's or the broadcast */
export function instanceAddress({ network }: Pick<NetworkPlan, 'network'>, port: number): string {
  if (port < 2 || port > 65_534) throw new RangeError(`Port ${port} has no address in a sandbox: use 2 to 65534.`);
  return formatAddress(network.first + port);
}

/** Commands for `ip -batch`. */
export function bridgeCommands(plan: NetworkPlan): Line[] {
  return [`link add name ${bridgeName(plan)} address ${hardwareAddress(plan.network.first + 1)} type bridge`];
}

export function bridgeSettings(plan: NetworkPlan): Line[] {
  const bridge = bridgeName(plan);
  return [`address replace ${gatewayAddress(plan)}/${plan.network.bits} dev ${bridge}`, `link set dev ${bridge} up`];
}

export function connectCommands(plan: NetworkPlan, port: number): Line[] {
  const veth = vethName(plan, port);
  return [
    `link add name ${veth} type veth peer name eth0 address ${hardwareAddress(plan.network.first + port)} netns ${namespaceName(plan, port)}`,
    `link set dev ${veth} master ${bridgeName(plan)} up`,
  ];
}

/** Within the namespace. */
export function insideCommands(plan: NetworkPlan, port: number): Line[] {
  return [
    'link set dev lo up',
    `address add ${instanceAddress(plan, port)}/${plan.network.bits} dev eth0`,
    'link set dev eth0 up',
    `route add default via ${gatewayAddress(plan)}`,
  ];
}

/** Files of /proc/sys. The bridge alone may carry to loopback, and only what the rules have turned there. */
export function systemSettings(plan: NetworkPlan): [file: string, value: string][] {
  return [
    ['net/ipv4/ip_forward', '1'],
    [`net/ipv4/conf/${bridgeName(plan)}/route_localnet`, '1'],
    [`net/ipv6/conf/${bridgeName(plan)}/disable_ipv6`, '1'],
  ];
}

/** Main ports of instances, by which they are numbered, with the others of each. */
export type Ports = ReadonlyMap<number, readonly number[]>;

/** A whole table for `nft -f`: replaces the one there is in one step. @param ports of all instances */
export function ruleset(plan: NetworkPlan, ports: Ports): string {
  const table = `inet ${tableName(plan)}`;
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...chain('raw', 'filter hook prerouting priority raw', [`${from(plan)} ip daddr 127.0.0.0/8 drop`]),
    ...chain('turn', 'nat hook prerouting priority dstnat', [...publicRules(plan), ...nodeRules(plan, ports)]),
    ...chain('turn_own', 'nat hook output priority -100', nodeRules(plan, ports)),
    ...chain('input', 'filter hook input priority filter - 5', inputRules(plan)),
    ...chain('forward', 'filter hook forward priority filter - 5', forwardRules(plan)),
    ...chain('leave', 'nat hook postrouting priority srcnat', [
      `ip saddr ${formatNetwork(plan.network)} oifname != "${bridgeName(plan)}" masquerade`,
    ]),
    '}',
    '',
  ].join('\n');
}

function publicRules(plan: NetworkPlan): Line[] {
  const ports = plan.publicPorts.join(', ');
  const turn = `ip daddr ${gatewayAddress(plan)} tcp dport { ${ports} } dnat ip to ${plan.publicHost}`;
  return plan.publicPorts.length === 0 ? [] : [`${from(plan)} ${turn}`];
}

/** Other machines' load balancers know an app by the machine's address. */
function nodeRules(plan: NetworkPlan, ports: Ports): Line[] {
  const { nodeAddress } = plan;
  if (nodeAddress === undefined) return [];
  return [...ports].flatMap(([main, further]) =>
    [main, ...further].map(
      (port) => `ip daddr ${nodeAddress} tcp dport ${port} dnat ip to ${instanceAddress(plan, main)}:${port}`,
    ),
  );
}

/** To this machine: answers, the load balancer, and a name server that is here. */
function inputRules(plan: NetworkPlan): Line[] {
  return [
    `${from(plan)} ct state established,related accept`,
    `${from(plan)} ct status dnat accept`,
    ...nameRules(plan),
    `${from(plan)} reject`,
  ];
}

/** Through this machine: outwards, but to no other app and to nothing that is refused; inwards, what was asked for. */
function forwardRules(plan: NetworkPlan): Line[] {
  const refused = plan.refused.map((network) => `${from(plan)} ip daddr ${formatNetwork(network)} reject`);
  return [
    `${from(plan)} ${to(plan)} drop`,
    `${from(plan)} ct state established,related accept`,
    ...nameRules(plan),
    ...refused,
    `${to(plan)} ct state established,related accept`,
    `${to(plan)} ct status dnat accept`,
    `${to(plan)} drop`,
  ];
}

function nameRules(plan: NetworkPlan): Line[] {
  return plan.nameServers.map(
    (server) => `${from(plan)} ip daddr ${server} meta l4proto { tcp, udp } th dport 53 accept`,
  );
}

const from = (plan: NetworkPlan) => `iifname "${bridgeName(plan)}"`;
const to = (plan: NetworkPlan) => `oifname "${bridgeName(plan)}"`;

function chain(name: string, hook: string, rules: readonly Line[]): Line[] {
  return [`chain ${name} {`, `type ${hook}; policy accept;`, ...rules, '}'];
}

/** Follows from the address: neighbours remember the two together, also when an app is started again. */
function hardwareAddress(address: number): string {
  const bytes = [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256);
  return ['02', 'a1', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
