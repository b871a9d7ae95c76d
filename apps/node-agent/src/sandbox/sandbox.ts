/**
 * Walls apps in as far as this machine allows, and knows how far that is. What is possible is tried when the agent
 * starts, with the very commands that apps are started by.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Launch } from '../runtime/runtime';
import { confine, inside, type SandboxPlan } from './bubblewrap';
import type { SandboxLevel, SandboxPolicy, SandboxStatus } from './level';
import type { NetworkPlan } from './network-plan';
import { AppNetwork } from './network';
import { findProgram, type SandboxPrograms } from './programs';
import { refusalOf } from './refusal';
import { seccompFilter } from './seccomp';
import { systemMounts } from './system-view';

const execute = promisify(execFile);

const TRIAL_WITHIN_MS = 20_000;
/** No app gets it: ports of apps are not privileged ones. */
const TRIAL_PORT = 2;

export interface SandboxOptions {
  policy: SandboxPolicy;
  /** For what all sandboxes need. */
  folder: string;
  programs: SandboxPrograms;
  /** Undefined where no network could be had for apps; then `networkProblem` says why. */
  network: NetworkPlan | undefined;
  networkProblem?: string;
  /** Main ports of the instances that have a place in the network already, with the others of each. */
  ports: ReadonlyMap<number, readonly number[]>;
  /** Folders with programs of Alto's own. */
  programFolders: readonly string[];
  /** Further paths of the machine that apps may read. */
  readablePaths: readonly string[];
  /** The user of an instance is this number and its port. */
  firstUid: number;
  /** Name servers for apps that have a network of their own, and the rest of the machine's resolv.conf. */
  resolv: string;
  /** What of memory, CPU and number of processes this machine cannot bound. */
  unbounded: readonly string[];
}

/** An instance as the sandbox sees it. */
export interface SandboxedInstance {
  /** The app's name. */
  name: string;
  port: number;
  /** At which it is reached as well. */
  furtherPorts: readonly number[];
  /** Its folder on this machine, which holds all of the following. */
  root: string;
  folders: { app: string; home: string; temporary: string };
}

export class Sandbox {
  private readonly refusal: string | null;

  private constructor(
    private readonly options: SandboxOptions,
    readonly level: SandboxLevel,
    /** Why it is no more than that; null for the strongest. */
    readonly reason: string | null,
    private readonly filter: string | undefined,
    /** Also where only instances from before have a place in it. */
    private readonly network: AppNetwork | undefined,
  ) {
    const { policy, programs } = options;
    const hasBubblewrap = programs.bwrap !== undefined;
    const has = (program: string) => findProgram(program) !== undefined;
    this.refusal = refusalOf({ policy, level, reason, platform: process.platform, hasBubblewrap, has });
  }

  static async open(options: SandboxOptions): Promise<Sandbox> {
    await mkdir(options.folder, { recursive: true, mode: 0o755 });
    if (options.policy === 'off') return await Sandbox.off(options);
    const filter = await writeFilter(options.folder);
    const none = (reason: string) => new Sandbox(options, 'none', reason, filter, undefined);
    if (process.platform !== 'linux') return none('bubblewrap runs on Linux alone');
    if (options.programs.bwrap === undefined) return none('bubblewrap is not installed');
    const restricted = (reason: string, network?: AppNetwork) =>
      new Sandbox(options, 'restricted', reason, filter, network);
    const trial = await restricted('').trial(undefined);
    if (trial !== null) return none(`bubblewrap does not work here: ${trial}`);
    const network = await openNetwork(options);
    if (typeof network === 'string') return restricted(network);
    const whole = new Sandbox(options, 'sandboxed', null, filter, network);
    const problem = await whole.trial(TRIAL_PORT);
    return problem === null ? whole : restricted(`apps have no network of their own: ${problem}`, network);
  }

  /** What runs from before goes on, and keeps its place. */
  private static async off(options: SandboxOptions): Promise<Sandbox> {
    const network = options.ports.size === 0 ? undefined : await openNetwork(options);
    const reason = 'ALTO_SANDBOX=off';
    return new Sandbox(options, 'none', reason, undefined, typeof network === 'string' ? undefined : network);
  }

  /** For people and for the scheduler. */
  get status(): SandboxStatus {
    const { level, reason, refusal } = this;
    return { level, reason, refusal, unbounded: this.options.unbounded };
  }

  /** Where an instance of this level listens; undefined: where the machine's apps do. */
  addressOf(port: number): string | undefined {
    return this.level === 'sandboxed' ? this.network?.addressOf(port) : undefined;
  }

  /** Where apps of this level find the load balancer; undefined: where the machine does. */
  get gateway(): string | undefined {
    return this.level === 'sandboxed' ? this.network?.gateway : undefined;
  }

  /** @throws Error when the operator demands more than there is, with what to do */
  demand(): void {
    if (this.refusal !== null) throw new Error(this.refusal);
  }

  /** What a new run needs, once its folders are filled. @throws Error as `demand` */
  async prepare(instance: SandboxedInstance): Promise<void> {
    this.demand();
    if (this.level !== 'none') await this.makeReady(instance);
  }

  /** The command of a run that was prepared, walled in. */
  confine<L extends Launch>(launch: L, instance: SandboxedInstance): L {
    return this.level === 'none' ? launch : confine(launch, this.planOf(instance));
  }

  /** When an instance is gone for good. */
  async release(port: number): Promise<void> {
    await this.network?.remove(port);
  }

  /** When nothing runs any more. */
  async close(): Promise<void> {
    await this.network?.close();
  }

  private get isRoot(): boolean {
    return process.getuid?.() === 0;
  }

  private uidOf(port: number): number {
    return this.options.firstUid + port;
  }

  private planOf({ name, port, root, folders }: SandboxedInstance): SandboxPlan {
    const { programs, programFolders, readablePaths } = this.options;
    const { bwrap = '', setpriv = '', nsenter = '' } = programs;
    const hasNetwork = this.level === 'sandboxed' && this.network !== undefined;
    return {
      bwrap,
      name,
      folders,
      settings: settingsOf(root),
      system: systemMounts(readablePaths),
      programs: programFolders,
      user: this.isRoot ? { uid: this.uidOf(port), setpriv } : undefined,
      network: hasNetwork ? { nsenter, namespace: this.network.namespaceOf(port) } : undefined,
      filter: this.filter,
    };
  }

  private async makeReady(instance: SandboxedInstance): Promise<void> {
    await this.writeSettings(instance);
    const { app, home, temporary } = instance.folders;
    const owner = `${this.uidOf(instance.port)}`;
    // Links stay as they are: what they name may be outside of the folder.
    if (this.isRoot) await execute('chown', ['-hR', `${owner}:${owner}`, app, home, temporary]);
    if (this.level === 'sandboxed') await this.network?.add(instance.port, instance.furtherPorts);
  }

  private async writeSettings({ name, port, root }: SandboxedInstance): Promise<void> {
    const files = settingsOf(root);
    const id = this.isRoot ? this.uidOf(port) : (process.getuid?.() ?? 0);
    await mkdir(join(root, 'etc'), { recursive: true, mode: 0o755 });
    const hosts = await readFile('/etc/hosts', 'utf8').catch(() => '127.0.0.1\tlocalhost');
    const users = ['root:x:0:0:root:/root:/usr/sbin/nologin', `app:x:${id}:${id}:app:${inside.home}:/bin/sh`];
    await writeFile(files.passwd, `${users.join('\n')}\n`, { mode: 0o644 });
    await writeFile(files.group, `root:x:0:\napp:x:${id}:\n`, { mode: 0o644 });
    await writeFile(files.hosts, `${hosts}\n${this.addressOf(port) ?? '127.0.0.1'}\t${name}\n`, { mode: 0o644 });
    await writeFile(files.resolv, this.options.resolv, { mode: 0o644 });
  }

  /** Starts the smallest program as an app would be. @returns what went wrong, null if nothing did */
  private async trial(port: number | undefined): Promise<string | null> {
    const root = await mkdtemp(join(this.options.folder, 'trial-'));
    const folders = { app: join(root, 'app'), home: join(root, 'home'), temporary: join(root, 'tmp') };
    const instance = { name: 'trial', port: port ?? TRIAL_PORT, furtherPorts: [], root, folders };
    try {
      for (const folder of Object.values(folders)) await mkdir(folder);
      await this.makeReady(instance);
      const launch = { id: 'trial', command: ['/usr/bin/true'], env: {}, cwd: root };
      const { command, confinement } = confine(launch, this.planOf(instance));
      const { launcher, options, filter = '/dev/null' } = confinement;
      const seccomp = this.filter === undefined ? [] : ['--seccomp', '4'];
      const words = ['-c', 'exec 4<"$0"; exec "$@"', filter, ...launcher, ...seccomp, ...options, '--', ...command];
      await execute('/bin/sh', words, { timeout: TRIAL_WITHIN_MS, env: {}, cwd: '/' });
      return null;
    } catch (error) {
      return problemOf(error as Error);
    } finally {
      if (port !== undefined) await this.network?.remove(port).catch(() => undefined);
      await rm(root, { recursive: true, force: true });
    }
  }
}

/** What bubblewrap said, else how it ended: a command line says nothing to people. */
function problemOf({
  stderr = '',
  code,
  killed,
  message,
}: Error & Partial<Record<'stderr' | 'code' | 'killed', unknown>>) {
  const [said = ''] = String(stderr).trim().split('\n');
  if (said !== '') return said;
  if (killed === true) return `it did not end within ${TRIAL_WITHIN_MS / 1_000} s`;
  return typeof code === 'number' ? `it ended with code ${code}` : message;
}

function settingsOf(root: string) {
  const file = (name: string) => join(root, 'etc', name);
  return { passwd: file('passwd'), group: file('group'), hosts: file('hosts'), resolv: file('resolv.conf') };
}

/** @returns why there is none, in words */
async function openNetwork({ network, networkProblem, programs, ports }: SandboxOptions): Promise<AppNetwork | string> {
  const why = (what: string) => `apps have no network of their own: ${what}`;
  if (process.getuid?.() !== 0) return why('the agent does not run as root');
  const missing = (['setpriv', 'nsenter', 'ip', 'bridge', 'nft'] as const).filter((name) => !programs[name]);
  if (missing.length > 0) return why(`${missing.join(', ')} not found`);
  if (network === undefined) return why(networkProblem ?? 'none could be chosen');
  const { ip = '', bridge = '', nft = '' } = programs;
  try {
    return await AppNetwork.open(network, { ip, bridge, nft }, ports);
  } catch (error) {
    if (ports.size === 0) await AppNetwork.remove(network, { ip, bridge, nft });
    return why(error instanceof Error ? error.message : String(error));
  }
}

async function writeFilter(folder: string): Promise<string | undefined> {
  const filter = seccompFilter();
  if (filter === undefined) return undefined;
  const path = join(folder, 'system-calls.bpf');
  await writeFile(path, filter, { mode: 0o644 });
  return path;
}
