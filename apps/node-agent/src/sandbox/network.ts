/**
 * Carries the network of apps out. Level-triggered: each step finds what is there and makes what is not, so that it
 * can be killed at any point; what belongs to nobody any more is removed when the agent starts.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bridgeCommands,
  bridgeName,
  bridgeSettings,
  connectCommands,
  gatewayAddress,
  insideCommands,
  instanceAddress,
  namespaceName,
  namespacePrefix,
  ruleset,
  systemSettings,
  tableName,
  vethName,
  type NetworkPlan,
  type Ports,
} from './network-plan';

const NAMESPACES = '/run/netns';
const INTERFACES = '/sys/class/net';
const COMMAND_WITHIN_MS = 20_000;

export interface NetworkPrograms {
  ip: string;
  bridge: string;
  nft: string;
}

export class AppNetwork {
  private writing: Promise<void> = Promise.resolve();

  private constructor(
    readonly plan: NetworkPlan,
    private readonly programs: NetworkPrograms,
    /** Of instances that have a place in it. */
    private readonly ports: Map<number, readonly number[]>,
  ) {}

  /**
   * Makes the bridge and the rules, and removes the places of instances that are gone.
   * @param ports main ports of the instances there are, with the others of each
   * @throws Error with what the system said, where it does not allow this
   */
  static async open(plan: NetworkPlan, programs: NetworkPrograms, ports: Ports): Promise<AppNetwork> {
    const network = new AppNetwork(plan, programs, new Map(ports));
    if (!existsSync(join(INTERFACES, bridgeName(plan)))) await network.ip([], bridgeCommands(plan));
    await network.ip([], bridgeSettings(plan));
    for (const [file, value] of systemSettings(plan)) setSystem(file, value);
    await network.writeRules();
    for (const port of network.places()) if (!ports.has(port)) await network.removePlace(port);
    return network;
  }

  /** What an `open` that failed has left. */
  static async remove(plan: NetworkPlan, programs: NetworkPrograms): Promise<void> {
    await new AppNetwork(plan, programs, new Map()).close();
  }

  get gateway(): string {
    return gatewayAddress(this.plan);
  }

  addressOf(port: number): string {
    return instanceAddress(this.plan, port);
  }

  /** Where an instance's namespace is found once it has its place. */
  namespaceOf(port: number): string {
    return join(NAMESPACES, namespaceName(this.plan, port));
  }

  /** A new place for an instance that does not run: one of a run before could have been left half made. */
  async add(port: number, further: readonly number[]): Promise<void> {
    this.ports.set(port, further);
    await this.removePlace(port);
    await run(this.programs.ip, ['netns', 'add', namespaceName(this.plan, port)]);
    await this.ip([], connectCommands(this.plan, port));
    await run(this.programs.bridge, ['link', 'set', 'dev', vethName(this.plan, port), 'isolated', 'on']);
    await this.ip(['-n', namespaceName(this.plan, port)], insideCommands(this.plan, port));
    if (this.plan.nodeAddress !== undefined) await this.writeRules();
  }

  async remove(port: number): Promise<void> {
    this.ports.delete(port);
    await this.removePlace(port);
    if (this.plan.nodeAddress !== undefined) await this.writeRules();
  }

  /** Leaves nothing behind. */
  async close(): Promise<void> {
    for (const port of this.places()) await this.removePlace(port);
    await quietly(run(this.programs.nft, ['delete', 'table', 'inet', tableName(this.plan)]));
    await quietly(run(this.programs.ip, ['link', 'delete', 'dev', bridgeName(this.plan)]));
  }

  /** Ports of all places that this Alto has on the machine, whole or not. */
  private places(): number[] {
    const prefix = namespacePrefix(this.plan);
    const veth = vethName(this.plan, 0).slice(0, -1);
    const found = [...numbersAfter(prefix, namesIn(NAMESPACES)), ...numbersAfter(veth, namesIn(INTERFACES))];
    return [...new Set(found)];
  }

  private async removePlace(port: number): Promise<void> {
    const veth = vethName(this.plan, port);
    if (existsSync(join(INTERFACES, veth))) await quietly(run(this.programs.ip, ['link', 'delete', 'dev', veth]));
    if (existsSync(this.namespaceOf(port)))
      await run(this.programs.ip, ['netns', 'delete', namespaceName(this.plan, port)]);
  }

  /** One at a time, so that the last one written holds all instances. */
  private writeRules(): Promise<void> {
    const done = this.writing.then(async () => {
      await run(this.programs.nft, ['-f', '-'], ruleset(this.plan, this.ports));
    });
    this.writing = done.catch(() => undefined);
    return done;
  }

  private async ip(options: readonly string[], lines: readonly string[]): Promise<void> {
    await run(this.programs.ip, [...options, '-batch', '-'], `${lines.join('\n')}\n`);
  }
}

function run(program: string, args: readonly string[], input = ''): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { timeout: COMMAND_WITHIN_MS, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } };
  const child = execFile(program, args, options, (error, stdout, stderr) => {
    if (error) reject(new Error(`${program} ${args.join(' ')}: ${firstLine(stderr) || error.message}`));
    else resolve(stdout);
  });
  child.stdin?.on('error', () => undefined).end(input);
  return promise;
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}

/** It may be gone already. */
async function quietly(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

/** What is so already is not written: where it may not be written that is enough. */
function setSystem(file: string, value: string): void {
  const path = join('/proc/sys', file);
  if (!existsSync(path) || readFileSync(path, 'utf8').trim() === value) return;
  writeFileSync(path, value);
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function numbersAfter(prefix: string, names: readonly string[]): number[] {
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)));
}
