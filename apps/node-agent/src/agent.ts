/**
 * The agent of one machine: everything it is made of, in the order in which it comes up and goes away.
 *
 * What runs does not depend on the agent running, and the agent depends on nothing that it starts: it looks after
 * users' instances before Alto's own processes are prepared, and serves its socket before anything else.
 */
import { createHash } from 'node:crypto';
import { cpus, hostname, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { readFileSync } from 'node:fs';
import { AltoError, sandboxLabel, storageOperations } from '@alto/contracts';
import { AltoClient, type Log, type RunningService, startService, SystemClock } from '@alto/platform';
import { BundleStore } from './bundles/bundle-store';
import { dataDirectoryOf, nodeAgentConfig, type NodeAgentConfig } from './config';
import { AgentKeeper } from './control/agent-keeper';
import { AgentLock } from './control/agent-lock';
import { ControlServer, type AgentStatus, type Control } from './control/control-server';
import { DataDirectory } from './data-directory';
import { type FirstStart, type ReleaseChoice, Releases } from './first-start';
import { AgentHandover, MachineServices } from './handover';
import { ComputeSync } from './instances/compute-sync';
import { InstancesService } from './instances/instances.service';
import { machineOf } from './instances/machine';
import { Places } from './instances/places';
import { NodeTokens } from './join';
import { InstanceLogs } from './logs/instance-logs';
import { MachineKeys } from './master-keys/machine-keys';
import { NodeAgentModule } from './node-agent.module';
import { ProcessRuntime } from './runtime/process/process-runtime';
import { openSandbox } from './sandbox/open-sandbox';
import type { Sandbox } from './sandbox/sandbox';
import { AgentStateStore } from './state/agent-state';
import { writeWhole } from './state/state-file';
import { checkReadiness } from './workloads/readiness';
import { ServiceUpdates } from './workloads/service-updates';
import { StaticWorkloads, type Report } from './workloads/static-workloads';
import { Supervisor } from './workloads/supervisor';
import type { StaticManifest, Workload } from './workloads/workload';

const COLLECT_EVERY_MS = 60_000;

export interface AgentOptions {
  config: NodeAgentConfig;
  log: Log;
  firstStart: FirstStart;
  /** Called when this process is to end: all is stopped by `down`, or another agent takes over. */
  onDown: () => void;
}

export class Agent implements Control {
  private readonly startedAt: string;
  private reports = 0;
  private readonly progress: AgentStatus['progress'] = [];
  /** Its place on the bus. First start may name the machine, too, where its credentials do. */
  private place: StaticManifest['agent'];
  private phase: AgentStatus['phase'] = 'preparing';
  private client: AltoClient | undefined;
  private sync: ComputeSync | undefined;
  private service: RunningService | undefined;
  private collector: NodeJS.Timeout | undefined;
  private stopping: Promise<void> | undefined;
  private readonly supervisor: Supervisor;
  private readonly statics: StaticWorkloads;
  readonly masterKeys: MachineKeys;
  private readonly updates: ServiceUpdates;
  private readonly handover: AgentHandover;
  readonly services: MachineServices;
  readonly nodes: NodeTokens;
  private readonly instances: InstancesService;
  private readonly server: ControlServer;
  private readonly keeper: AgentKeeper;

  private constructor(
    private readonly options: AgentOptions,
    private readonly directory: DataDirectory,
    private readonly lock: AgentLock,
    private readonly state: AgentStateStore,
    private readonly runtime: ProcessRuntime,
    private readonly sandbox: Sandbox,
  ) {
    const { config, log } = options;
    const clock = new SystemClock(config.ALTO_CLOCK_OFFSET_FILE);
    this.startedAt = clock.now().toISOString();
    this.supervisor = new Supervisor({
      runtime,
      clock,
      log,
      memories: state,
      check: checkReadiness,
      prepare: async (workload, progress) =>
        workload.kind === 'instance' ? await this.instances.prepare(workload, progress) : {},
      confine: (workload, launch) => (workload.kind === 'instance' ? this.instances.confine(workload, launch) : launch),
    });
    this.statics = new StaticWorkloads(this.supervisor, state, log);
    const releases = new Releases(directory.releases, config.ALTO_RELEASES_SOURCE);
    this.updates = new ServiceUpdates({
      statics: this.statics,
      releases,
      state,
      plan: (choice) => this.plan(choice),
      keepManifest: (manifest) => writeWhole(this.manifestPath, JSON.stringify(manifest)),
      log,
    });
    this.masterKeys = this.machineKeys();
    this.handover = new AgentHandover({
      releases,
      installed: directory.releases,
      version: config.ALTO_SERVICE_VERSION,
      record: join(directory.run, 'handover'),
      scripts: join(directory.runtime, 'shim'),
      isOwnMaster: config.ALTO_KEEPER === 'on',
      leave: () => options.onDown(),
    });
    this.services = new MachineServices(this.updates, this.handover);
    const limits = { bytesMax: config.ALTO_BUNDLE_BYTES_MAX, entriesMax: config.ALTO_BUNDLE_ENTRIES_MAX };
    this.instances = new InstancesService({
      supervisor: this.supervisor,
      runtime,
      state,
      bundles: new BundleStore(directory.bundles, (project, bundle) => this.locate(project, bundle.id), limits),
      machine: machineOf(config, directory, config.ALTO_NODE_BIN_DIR ?? nodePath(directory)),
      folderLimits: { bytesMax: config.ALTO_INSTANCE_DISK_BYTES_MAX, entriesMax: config.ALTO_INSTANCE_FILES_MAX },
      places: new Places({ sandbox, state, machineIp: config.ALTO_NODE_IP }),
      masterKeyFile: this.masterKeys.file,
      ports: config.ALTO_INSTANCE_PORTS,
      endedLogsBytesMax: config.ALTO_ENDED_LOGS_BYTES_MAX,
      clock,
      log,
    });
    this.nodes = new NodeTokens({ directory, bus: () => this.place });
    this.server = new ControlServer(directory.socket('agent.sock'), this, log);
    this.keeper = new AgentKeeper({
      record: join(directory.run, 'keeper'),
      scripts: join(directory.runtime, 'shim'),
      command: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    });
  }

  /** Takes the data directory. @throws AgentLockedError, StateFileError */
  static async open(options: AgentOptions): Promise<Agent> {
    const { config, log } = options;
    const directory = new DataDirectory(dataDirectoryOf(config));
    directory.create();
    const lock = AgentLock.take(join(directory.run, 'agent.lock'));
    try {
      const onWriteFailed = (error: unknown) => log.error('The state of the agent could not be written', { error });
      const state = new AgentStateStore(directory.stateFile, onWriteFailed);
      const runtime = await ProcessRuntime.open({
        folder: directory.workloads,
        scripts: join(directory.runtime, 'shim'),
        name: createHash('sha256').update(directory.root).digest('hex').slice(0, 12),
        logBytesMax: config.ALTO_WORKLOAD_LOG_BYTES_MAX,
      });
      const nodeFolders = config.ALTO_NODE_BIN_DIR ?? nodePath(directory);
      const { bounded } = runtime;
      const sandbox = await openSandbox({ config, directory, nodePath: nodeFolders, bounded, state: state.current });
      return new Agent(options, directory, lock, state, runtime, sandbox);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Resolves when Alto's own processes are told to run. @throws Error when first start cannot prepare them */
  async start(): Promise<void> {
    await this.server.listen();
    await this.instances.resume();
    this.supervisor.start();
    await this.updates.repairPointers();
    const manifest = await this.prepareManifest();
    // Not before: an agent that cannot prepare the first start would only fail again.
    if (this.options.config.ALTO_KEEPER === 'on') await this.keeper.start();
    await this.statics.apply(manifest);
    await this.updates.resume();
    await this.stopOrphans();
    this.phase = 'starting';
    this.watchReady();
    await this.serve(manifest);
    await this.handover.atWork();
    this.collector = setInterval(() => void this.collect(), COLLECT_EVERY_MS);
  }

  /** For one that could not start: where nothing of its Alto runs, nothing stays on the machine either. */
  async giveUp(): Promise<void> {
    await this.supervisor.stop();
    for (const id of await this.runtime.list()) if (!(await this.isGone(id))) return;
    await this.runtime.close();
    await this.sandbox.close();
  }

  /** Ends the agent alone: what it runs goes on, and the next agent adopts it. */
  stop(): Promise<void> {
    this.stopping ??= this.leave();
    return this.stopping;
  }

  status(): AgentStatus {
    return {
      version: this.options.config.ALTO_SERVICE_VERSION,
      pid: process.pid,
      nodeId: this.nodeId,
      dataDir: this.directory.root,
      startedAt: this.startedAt,
      phase: this.phase,
      sandbox: this.sandbox.status,
      ready: this.statics.ready,
      handover: this.handover.last,
      progress: this.progress,
      workloads: this.supervisor.statuses(),
    };
  }

  async down(report: Report): Promise<void> {
    this.phase = 'stopping';
    report('Stopping');
    this.keeper.dismiss();
    await this.leaveBus();
    await this.statics.stopAll(report);
    await this.supervisor.stop();
    await this.runtime.close();
    await this.sandbox.close();
  }

  async logs(workload: string, options: { lines: number; cursor?: string }) {
    const named = this.supervisor.workloads().find(({ id, name }) => id === workload || name === workload);
    if (named === undefined && (await this.runtime.logs.bytesOf(workload)) === 0) throw unknownWorkload(workload);
    return this.runtime.logs.read(named?.id ?? workload, { cursor: options.cursor, linesMax: options.lines });
  }

  exit(): void {
    this.options.onDown();
  }

  private machineKeys(): MachineKeys {
    return new MachineKeys({
      file: this.options.config.ALTO_MASTER_KEY_FILE ?? this.directory.masterKeyFile,
      compute: () => this.client,
      instances: () => this.state.current.instances,
    });
  }

  private get nodeId(): string {
    return this.place?.nodeId ?? this.options.config.ALTO_NODE_ID ?? this.state.current.nodeId;
  }

  /** First start failing must not leave what already runs without care: then its last manifest holds. */
  private async prepareManifest(): Promise<StaticManifest> {
    const last = (await this.runsAlready()) ? this.lastManifest() : undefined;
    try {
      const manifest = await this.plan({ keep: last !== undefined });
      await writeWhole(this.manifestPath, JSON.stringify(manifest));
      return manifest;
    } catch (error) {
      if (!last) throw error;
      const message = error instanceof Error ? error.message : String(error);
      this.progress.push({ step: 'failed', message });
      this.options.log.error('First start failed; what runs is kept running as it is', { error });
      return last;
    }
  }

  private async plan(choice: ReleaseChoice): Promise<StaticManifest> {
    const report = (step: string, message: string) => {
      this.options.log.info('Preparing', { step, detail: message });
      this.progress.push({ step, message });
      if (this.progress.length > 100) this.progress.shift();
    };
    return await this.options.firstStart(this.directory, report, choice);
  }

  private async runsAlready(): Promise<boolean> {
    const views = await Promise.all((await this.runtime.list()).map((id) => this.runtime.observe(id)));
    return views.some(({ state }) => state === 'running');
  }

  private lastManifest(): StaticManifest | undefined {
    try {
      return JSON.parse(readFileSync(this.manifestPath, 'utf8')) as StaticManifest;
    } catch {
      return undefined;
    }
  }

  private get manifestPath(): string {
    return join(this.directory.state, 'manifest.json');
  }

  /** What is on record and wanted by nobody: the half of a replacement that an agent was killed in, for one. */
  private async stopOrphans(): Promise<void> {
    for (const id of await this.runtime.list()) {
      if (this.supervisor.status(id) || this.instances.isRetired(id) || (await this.isGone(id))) continue;
      this.options.log.warn('Stopping what nobody wants any more', { workload: id });
      this.supervisor.want(orphan(id), 'stopped');
    }
  }

  private async isGone(id: string): Promise<boolean> {
    const view = await this.runtime.observe(id);
    return view.state === 'none' || (view.state === 'ended' && view.leftovers === 0);
  }

  private watchReady(): void {
    const look = () => {
      if (!this.statics.ready) return;
      end();
      if (this.phase === 'starting') this.phase = 'running';
      this.options.log.info('All of Alto on this machine is ready');
    };
    const end = this.supervisor.onChange(look);
    look(); // a machine that runs apps alone has nothing to wait for
  }

  /** The agent's own place on the bus. The bus may come later: it is one of the things that are being started. */
  private async serve({ agent }: StaticManifest): Promise<void> {
    const { config, log } = this.options;
    this.place = agent;
    this.service = await startService(
      {
        name: 'node-agent',
        module: NodeAgentModule.over(new InstanceLogs(this.runtime.logs)),
        config: nodeAgentConfig,
      },
      {
        ...config,
        ALTO_SERVICE_INSTANCE: this.nodeId,
        ALTO_DATABASE_URL: undefined,
        ...(agent && {
          ALTO_NATS_URL: agent.natsUrl,
          ALTO_NATS_CREDS_FILE: agent.natsCredsFile,
          ALTO_CALLER_PUBLIC_KEYS: agent.callerPublicKeys ?? config.ALTO_CALLER_PUBLIC_KEYS,
        }),
      },
      log,
    );
    const client = this.service.app.get(AltoClient);
    this.client = client;
    this.sync = new ComputeSync({
      client,
      instances: this.instances,
      supervisor: this.supervisor,
      describe: () => this.describe(),
      everyMs: config.ALTO_NODE_SYNC_MS,
      log,
    });
    this.sync.start();
  }

  private describe() {
    const { config } = this.options;
    const { level, refusal } = this.sandbox.status;
    return {
      node: this.nodeId,
      name: config.ALTO_NODE_NAME ?? hostname(),
      agentVersion: config.ALTO_SERVICE_VERSION,
      labels: { ...config.ALTO_NODE_LABELS, [sandboxLabel.name]: refusal === null ? level : sandboxLabel.missing },
      capacity: {
        cpuMillis: config.ALTO_NODE_CPU_MILLIS ?? Math.min(256_000, cpus().length * 1000),
        memoryBytes: config.ALTO_NODE_MEMORY_BYTES ?? totalmem(),
      },
      incarnation: Date.parse(this.startedAt),
      sequence: (this.reports += 1),
      seenGeneration: this.state.current.generation,
      ...this.masterKeys.describe(),
    };
  }

  private async locate(project: string, bundle: string): Promise<string> {
    if (!this.client) throw new Error('Waiting for the bus, to ask storage for the bundle');
    return (await this.client.call(storageOperations.bundles.locate, { project, bundle })).url;
  }

  private async collect(): Promise<void> {
    await this.instances
      .collect()
      .catch((error: unknown) => this.options.log.error('Old files could not be removed', { error }));
  }

  private async leaveBus(): Promise<void> {
    await this.sync?.stop();
    await this.service?.stop();
  }

  private async leave(): Promise<void> {
    this.keeper.dismiss();
    clearInterval(this.collector);
    await this.supervisor.stop();
    await this.leaveBus();
    await this.server.close();
    await this.state.flush();
    this.lock.release();
  }
}

/** First start keeps a Node of this version for what runs; the one that runs the agent may be gone with its clone. */
function nodePath(directory: DataDirectory): string {
  return `${join(directory.runtime, `node-${process.versions.node}`, 'bin')}:${dirname(process.execPath)}`;
}

function unknownWorkload(name: string): AltoError {
  const nextStep = '`alto status` shows those there are.';
  return new AltoError('not_found', { message: `This machine has no workload ${name}.`, nextStep });
}

/** Enough of a workload to end it: how it was started is no longer known. */
function orphan(id: string): Workload {
  return {
    id,
    kind: 'task',
    name: id,
    command: [],
    env: {},
    cwd: '/',
    ports: {},
    dependsOn: [],
    readiness: { kind: 'none' },
    stop: { signal: 'SIGTERM', graceMs: 30_000 },
    restart: 'never',
    release: null,
    oneShot: false,
  };
}
