/**
 * Users' instances on this machine. The set that compute last sent is on the disk before it is acted on, and is what
 * holds while compute, NATS or the network are away.
 */
import { AltoError, type DesiredInstance, httpPort, type ObservedInstance } from '@alto/contracts';
import { createServer } from 'node:net';
import { cp, mkdir } from 'node:fs/promises';
import { constants } from 'node:fs';
import type { Clock, Log } from '@alto/platform';
import type { BundleStore } from '../bundles/bundle-store';
import type { Launch, WorkloadRuntime } from '../runtime/runtime';
import type { Sandbox, SandboxedInstance } from '../sandbox/sandbox';
import type { AgentStateStore } from '../state/agent-state';
import type { Supervisor } from '../workloads/supervisor';
import type { Workload } from '../workloads/workload';
import { outdatedLogs } from './ended-logs';
import { FolderGuard } from './folder-guard';
import type { FolderLimits } from './folder-size';
import {
  type InstancePorts,
  instanceFolders,
  instanceWorkload,
  observedInstance,
  type Machine,
} from './instance-workload';
import type { Places } from './places';
import { choosePort, type PortRange } from './ports';
import { removeTree } from './remove-tree';
import { secretEnvironment } from './secret-environment';

const BUNDLE_KEPT_MS = 3_600_000;

/** The set as compute sends it. */
export interface DesiredSet {
  generation: number;
  fencingToken: number;
  instances: readonly DesiredInstance[];
}

export interface InstancesOptions {
  supervisor: Supervisor;
  runtime: WorkloadRuntime;
  state: AgentStateStore;
  bundles: BundleStore;
  machine: Machine;
  /** Of what one has in its working folder, the bundle included. */
  folderLimits: FolderLimits;
  /** How and where instances are walled in. */
  places: Places<Sandbox>;
  /** Ports that instances get; no other agent on this machine gives them out. */
  ports: PortRange;
  /** Opens the secrets of instances. */
  masterKeyFile: string;
  /** For the logs of all instances that are gone; the oldest make room. */
  endedLogsBytesMax: number;
  clock: Clock;
  log: Log;
}

export class InstancesService {
  private applying: Promise<void> = Promise.resolve();

  private readonly guard: FolderGuard;

  constructor(private readonly options: InstancesOptions) {
    const { runtime, folderLimits, log } = options;
    this.guard = new FolderGuard({ runtime, limits: folderLimits, log, folders: () => this.livingFolders() });
  }

  /** Takes up what the disk says, at the start of the agent. */
  async resume(): Promise<void> {
    await this.options.bundles.clean();
    await this.options.places.forgetEnded(this.options.runtime);
    this.guard.start();
    await this.serially(() => this.pursue());
  }

  /**
   * Takes over a newer set. @throws AltoError `stale_writer` for one that is older than what this machine has seen:
   * its sender was replaced, or its database was set back.
   */
  async apply(desired: DesiredSet): Promise<void> {
    await this.serially(async () => {
      this.refuseOlder(desired);
      if (this.isNews(desired)) {
        await this.options.state.commit((state) => {
          state.generation = desired.generation;
          state.fencingToken = desired.fencingToken;
          state.instances = [...desired.instances];
        });
      }
      await this.pursue();
    });
  }

  observed(): ObservedInstance[] {
    const { supervisor, places } = this.options;
    const statuses = supervisor.statuses().filter(({ kind }) => kind === 'instance');
    return statuses.map((status) => {
      const place = places.of(status.id, this.portsOf(status.id).main);
      // One that is not started for want of a sandbox says so itself.
      const isRefused = status.pid === null && places.sandbox.status.refusal !== null;
      return observedInstance(status, places.reachedAt(place), isRefused ? null : places.weaknessOf(place));
    });
  }

  /** Makes the throw-away folder of a run, with the bundle's files in it. @returns the instance's secrets, opened */
  async prepare(workload: Workload, progress: (reason: string) => void): Promise<Record<string, string>> {
    const { state, bundles, machine, masterKeyFile, places } = this.options;
    const instance = state.desired(workload.id);
    if (!instance) throw new Error('It is no longer wanted');
    places.sandbox.demand();
    const secrets = secretEnvironment(instance, masterKeyFile);
    progress('Fetching its bundle');
    const bundle = instance.bundle ? await bundles.ensure(instance.project, instance.bundle) : undefined;
    progress('Making its working folder');
    await places.take(workload.id, this.portsOf(workload.id).main, () => this.wantAnew(instance));
    const folders = instanceFolders(machine, workload.id);
    await removeTree(folders.root);
    await mkdir(folders.temporary, { recursive: true });
    await mkdir(folders.home);
    if (bundle === undefined) await mkdir(folders.app);
    else await cp(bundle, folders.app, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
    await places.sandbox.prepare(this.sandboxedOf(workload));
    return secrets;
  }

  /** The command of a run that was prepared, walled in. */
  confine(workload: Workload, launch: Launch): Launch {
    return this.options.places.sandbox.confine(launch, this.sandboxedOf(workload));
  }

  /** Drops what is gone and no longer listed, and in time its log and the bundles that nothing uses. */
  async collect(): Promise<void> {
    await this.serially(async () => {
      await this.retireGone();
      await this.forgetOld();
      const used = new Set(this.options.state.current.instances.flatMap(({ bundle }) => bundle?.sha256 ?? []));
      await this.options.bundles.collect(used, Date.now() - BUNDLE_KEPT_MS);
    });
  }

  /** Whether the runtime keeps it for its log alone. */
  isRetired(id: string): boolean {
    return id in this.options.state.current.retired;
  }

  private livingFolders() {
    const { supervisor, machine } = this.options;
    const living = supervisor.statuses().filter(({ kind, pid }) => kind === 'instance' && pid !== null);
    return living.map(({ id }) => ({ id, folder: instanceFolders(machine, id).root }));
  }

  private sandboxedOf({ id, name }: Workload): SandboxedInstance {
    const { root, ...folders } = instanceFolders(this.options.machine, id);
    const { main, further } = this.portsOf(id);
    return { name, port: main, furtherPorts: Object.values(further), root, folders };
  }

  /** With the address that it has from now on. */
  private wantAnew(instance: DesiredInstance): void {
    this.options.supervisor.want(this.workloadOf(instance), 'running');
  }

  private workloadOf(instance: DesiredInstance): Workload {
    const { machine, places } = this.options;
    const ports = this.portsOf(instance.id);
    return instanceWorkload(instance, ports, machine, places.of(instance.id, ports.main));
  }

  private portsOf(id: string): InstancePorts {
    const { ports, furtherPorts } = this.options.state.current;
    return { main: ports[id] ?? 0, further: furtherPorts[id] ?? {} };
  }

  private refuseOlder({ generation, fencingToken }: DesiredSet): void {
    const seen = this.options.state.current;
    if (generation >= seen.generation && fencingToken >= seen.fencingToken) return;
    throw new AltoError('stale_writer', {
      message:
        `Compute sent generation ${generation} (token ${fencingToken}), and this machine has seen ` +
        `${seen.generation} (token ${seen.fencingToken}). It keeps what it runs.`,
    });
  }

  private isNews(desired: DesiredSet): boolean {
    const seen = this.options.state.current;
    if (desired.generation !== seen.generation || desired.fencingToken !== seen.fencingToken) return true;
    return JSON.stringify(desired.instances) !== JSON.stringify(seen.instances);
  }

  /** Tells the supervisor what is wanted. An address is on the disk before anything can listen there. */
  private async pursue(): Promise<void> {
    const { state, supervisor } = this.options;
    // A set is news once only, also when the disk was full just then.
    await state.catchUp();
    const listed = new Set(state.current.instances.map(({ id }) => id));
    const wanted = state.current.instances.filter(({ want }) => want === 'running');
    await this.allocate(wanted.filter(({ id }) => state.current.ports[id] === undefined));
    for (const instance of state.current.instances) {
      const want = instance.want === 'running' && this.portsOf(instance.id).main === 0 ? 'stopped' : instance.want;
      supervisor.want(this.workloadOf(instance), want);
    }
    const unlisted = supervisor.workloads().filter(({ id, kind }) => kind === 'instance' && !listed.has(id));
    for (const workload of unlisted) supervisor.want(workload, 'stopped');
    await this.retireGone();
  }

  private async allocate(instances: readonly DesiredInstance[]): Promise<void> {
    if (instances.length === 0) return;
    const { state, log } = this.options;
    for (const { id, ports } of instances) {
      const names = ports.filter((name) => name !== httpPort);
      const [main, ...chosen] = await this.choosePorts(1 + names.length);
      if (main === undefined) {
        log.error('No port is left for an instance', { instance: id });
        break;
      }
      state.note((current) => {
        current.ports[id] = main;
        if (names.length > 0)
          current.furtherPorts[id] = Object.fromEntries(names.map((name, index) => [name, chosen[index]!]));
        current.lastPort = chosen.at(-1) ?? main;
        delete current.retired[id];
      });
    }
    await state.commit(() => undefined);
  }

  /** @returns none where there are not as many */
  private async choosePorts(count: number): Promise<number[]> {
    const { ports, furtherPorts, lastPort } = this.options.state.current;
    const taken = new Set([...Object.values(ports), ...Object.values(furtherPorts).flatMap(Object.values<number>)]);
    const chosen: number[] = [];
    while (chosen.length < count) {
      const port = await choosePort(this.options.ports, taken, chosen.at(-1) ?? lastPort, isFree);
      if (port === undefined) return [];
      chosen.push(port);
      taken.add(port);
    }
    return chosen;
  }

  /** Also what an agent that was killed, or a disk that failed, has left half retired. */
  private async retireGone(): Promise<void> {
    const { state, supervisor, log } = this.options;
    const listed = new Set(state.current.instances.map(({ id }) => id));
    const known = supervisor.statuses().filter(({ kind }) => kind === 'instance');
    const ids = new Set([...known.map(({ id }) => id), ...Object.keys(state.current.ports)]);
    for (const id of ids) {
      if (listed.has(id) || !(await this.isGone(id))) continue;
      // One that cannot be retired yet is looked at again, and keeps nobody else from anything.
      await this.retire(id).catch((error: unknown) =>
        log.warn('What is left of an instance could not be removed', { instance: id, error }),
      );
    }
  }

  private async isGone(id: string): Promise<boolean> {
    const status = this.options.supervisor.status(id);
    if (status) return status.want === 'stopped' && status.phase === 'exited';
    const view = await this.options.runtime.observe(id);
    return view.state === 'none' || (view.state === 'ended' && view.leftovers === 0);
  }

  /**
   * An address is given back only now: nothing of the instance can listen there any more. What fails on the way leaves
   * all that is known of it, to be tried again.
   */
  private async retire(id: string): Promise<void> {
    const { state, supervisor, machine, clock, places } = this.options;
    await removeTree(instanceFolders(machine, id).root);
    await places.leave(id, state.current.ports[id]);
    await state.commit((current) => {
      // In the same turn: a round in between would count its end anew, and remember that.
      supervisor.drop(id);
      delete current.ports[id];
      delete current.furtherPorts[id];
      delete current.places[id];
      delete current.memories[id];
      current.retired[id] = clock.nowMs();
    });
  }

  private async forgetOld(): Promise<void> {
    const { state, runtime, clock, endedLogsBytesMax } = this.options;
    const logs = Object.entries(state.current.retired).map(async ([id, endedAtMs]) => ({
      id,
      endedAtMs,
      bytes: (await runtime.logs?.bytesOf(id)) ?? 0,
    }));
    for (const id of outdatedLogs(await Promise.all(logs), clock.nowMs(), endedLogsBytesMax)) {
      await runtime.forget(id);
      state.note((current) => delete current.retired[id]);
    }
  }

  /** One change of the set at a time: a slow one must not overtake a newer. */
  private serially(action: () => Promise<void>): Promise<void> {
    const done = this.applying.then(action);
    this.applying = done.catch(() => undefined);
    return done;
  }
}

/** Nobody listens there on any address. */
function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  return promise;
}
