/** An instance that compute wants, as a workload of this machine. Pure. */
import { join } from 'node:path';
import type { DesiredInstance, ObservedInstance } from '@alto/contracts';
import { inside } from '../sandbox/bubblewrap';
import type { SandboxLevel } from '../sandbox/level';
import type { RunLimits } from '../runtime/runtime';
import type { WorkloadStatus } from '../workloads/supervisor';
import type { Workload } from '../workloads/workload';

export interface Machine {
  /** `instances/`. */
  instancesFolder: string;
  /** Where the Node that Alto runs on lies, as in PATH: a command is looked for there first. */
  nodePath: string;
  /** Address at which instances without an address of their own listen, and others are reached from other machines. */
  ip: string;
  /** Where the load balancer serves, if there is one on this machine. */
  publicPorts: { api: number; apps: number; s3: number } | undefined;
  /** Thousandths of a CPU that any instance may take while nobody else wants them. */
  cpuBurstMillis: number;
  /** Threads count. */
  processesMax: number;
  /** More of its output is not kept. */
  logBytesPerSecond: number;
}

/** Where one instance runs, as it sees itself. */
export interface Place {
  level: SandboxLevel;
  /** Where it listens. */
  ip: string;
  /** Where it finds this machine's load balancer. */
  gateway: string;
}

export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Folders of one instance. All of it is made anew for each run and gone with the instance. */
export function instanceFolders(machine: Machine, id: string) {
  const root = join(machine.instancesFolder, id);
  return { root, app: join(root, 'app'), home: join(root, 'home'), temporary: join(root, 'tmp') };
}

export function instanceWorkload(
  instance: DesiredInstance,
  port: number,
  machine: Machine,
  place: Place = { level: 'none', ip: machine.ip, gateway: machine.ip },
): Workload {
  const folders = instanceFolders(machine, instance.id);
  const seen = place.level === 'none' ? folders : inside;
  return {
    id: instance.id,
    kind: 'instance',
    name: instance.appName,
    command: instance.command,
    env: {
      PATH: `${machine.nodePath}:${SYSTEM_PATH}`,
      LANG: 'C.UTF-8',
      HOME: seen.home,
      TMPDIR: seen.temporary,
      ...publicUrls(machine, place),
      ...instance.env,
      PORT: String(port),
      HOST: place.ip,
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
      url: `http://${place.ip}:${port}${instance.readiness.path}`,
      timeoutMs: instance.readiness.timeoutMs,
    },
    ...(instance.liveness && {
      liveness: { ...instance.liveness, url: `http://${place.ip}:${port}${instance.liveness.path}` },
    }),
    stop: instance.stop,
    restart: instance.restart,
    release: null,
    oneShot: false,
    limits: limitsOf(instance, machine),
  };
}

/** An app that has a network of its own does not find them on its loopback. */
function publicUrls({ publicPorts }: Machine, { gateway }: Place): Record<string, string> {
  if (publicPorts === undefined) return {};
  const url = (port: number) => `http://${gateway}:${port}`;
  const { api, apps, s3 } = publicPorts;
  return { ALTO_API_URL: url(api), ALTO_APPS_URL: url(apps), ALTO_S3_URL: url(s3) };
}

function limitsOf({ resources }: DesiredInstance, machine: Machine): RunLimits {
  const { cpuMillis, memoryBytes } = resources;
  const cpuMillisMax = Math.max(cpuMillis, machine.cpuBurstMillis);
  const { processesMax, logBytesPerSecond } = machine;
  return { memoryBytes, cpuMillis, cpuMillisMax, processesMax, logBytesPerSecond };
}

/** What compute is told of an instance. @param weakness why its sandbox is not the strongest */
export function observedInstance(status: WorkloadStatus, ip: string, weakness: string | null = null): ObservedInstance {
  const port = status.ports['http'];
  return {
    id: status.id,
    state: observedState(status),
    reason: `${status.reason}${weakness === null ? '' : ` (${weakness})`}`.slice(0, 2_000),
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
