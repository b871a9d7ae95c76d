/** An instance that compute wants, as a workload of this machine. Pure. */
import { join } from 'node:path';
import type { DesiredInstance, ObservedInstance } from '@alto/contracts';
import type { RunLimits } from '../runtime/runtime';
import type { WorkloadStatus } from '../workloads/supervisor';
import type { Workload } from '../workloads/workload';

export interface Machine {
  /** `instances/`. */
  instancesFolder: string;
  /** Where the Node that Alto runs on lies, as in PATH: a command is looked for there first. */
  nodePath: string;
  /** Address at which instances of this machine are reached. */
  ip: string;
  /** Thousandths of a CPU that any instance may take while nobody else wants them. */
  cpuBurstMillis: number;
  /** Threads count. */
  processesMax: number;
}

export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Folders of one instance. All of it is made anew for each run and gone with the instance. */
export function instanceFolders(machine: Machine, id: string) {
  const root = join(machine.instancesFolder, id);
  return { root, app: join(root, 'app'), temporary: join(root, 'tmp') };
}

export function instanceWorkload(instance: DesiredInstance, port: number, machine: Machine): Workload {
  const folders = instanceFolders(machine, instance.id);
  return {
    id: instance.id,
    kind: 'instance',
    name: instance.appName,
    command: instance.command,
    env: {
      PATH: `${machine.nodePath}:${SYSTEM_PATH}`,
      LANG: 'C.UTF-8',
      HOME: folders.root,
      TMPDIR: folders.temporary,
      ...instance.env,
      PORT: String(port),
      HOST: machine.ip,
      ALTO_APP: instance.appName,
      ALTO_PROJECT: instance.project,
      ALTO_INSTANCE: instance.id,
      ALTO_REVISION: String(instance.revision),
    },
    cwd: folders.app,
    ports: { http: port },
    dependsOn: [],
    readiness: {
      kind: 'http',
      url: `http://${machine.ip}:${port}${instance.readiness.path}`,
      timeoutMs: instance.readiness.timeoutMs,
    },
    ...(instance.liveness && {
      liveness: { ...instance.liveness, url: `http://${machine.ip}:${port}${instance.liveness.path}` },
    }),
    stop: instance.stop,
    restart: instance.restart,
    release: null,
    oneShot: false,
    limits: limitsOf(instance, machine),
  };
}

function limitsOf({ resources }: DesiredInstance, machine: Machine): RunLimits {
  const { cpuMillis, memoryBytes } = resources;
  const cpuMillisMax = Math.max(cpuMillis, machine.cpuBurstMillis);
  return { memoryBytes, cpuMillis, cpuMillisMax, processesMax: machine.processesMax };
}

/** What compute is told of an instance. */
export function observedInstance(status: WorkloadStatus, ip: string): ObservedInstance {
  const port = status.ports['http'];
  return {
    id: status.id,
    state: observedState(status),
    reason: status.reason.slice(0, 2_000),
    address: port === undefined || port === 0 ? null : { ip, port },
    restarts: status.restarts,
    exitCode: status.exitCode,
    exitSignal: status.exitSignal,
    startedAt: status.startedAtMs === null ? null : new Date(status.startedAtMs).toISOString(),
  };
}

function observedState({ phase, run }: WorkloadStatus): ObservedInstance['state'] {
  switch (phase) {
    case 'waiting':
      return 'starting';
    case 'starting':
      return run === 0 ? 'fetching' : 'starting';
    case 'unready':
      return 'running';
    case 'completed':
      return 'exited';
    default:
      return phase;
  }
}
