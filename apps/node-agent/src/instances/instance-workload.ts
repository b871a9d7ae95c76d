/** An instance that compute wants, as a workload of this machine. Pure. */
import { join } from 'node:path';
import { type DesiredInstance, httpPort, type ObservedInstance, portVariable } from '@alto/contracts';
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

/** Ports that an instance has on this machine. */
export interface InstancePorts {
  /** Also stands for the instance itself, where users and networks are numbered: each has one. 0 before it has. */
  main: number;
  /** Those beside `http`, by name. */
  further: Readonly<Record<string, number>>;
}

export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Folders of one instance. All of it is made anew for each run and gone with the instance. */
export function instanceFolders(machine: Machine, id: string) {
  const root = join(machine.instancesFolder, id);
  return { root, app: join(root, 'app'), home: join(root, 'home'), temporary: join(root, 'tmp') };
}

export function instanceWorkload(
  instance: DesiredInstance,
  { main, further }: InstancePorts,
  machine: Machine,
  place: Place = { level: 'none', ip: machine.ip, gateway: machine.ip },
): Workload {
  const folders = instanceFolders(machine, instance.id);
  const ports = instance.ports.includes(httpPort) ? { [httpPort]: main, ...further } : further;
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
      ...portVariables(ports),
      HOST: place.ip,
      ALTO_APP: instance.appName,
      ALTO_PROJECT: instance.project,
      ALTO_INSTANCE: instance.id,
      ALTO_REVISION: String(instance.revision),
    },
    cwd: folders.app,
    ports,
    dependsOn: [],
    ...checks(instance, ports[httpPort], place),
    stop: instance.stop,
    restart: instance.restart,
    release: null,
    oneShot: false,
    limits: limitsOf(instance, machine),
  };
}

function portVariables(ports: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(ports).map(([name, port]) => [portVariable(name), String(port)]));
}

/** What has no port to be asked at is ready as soon as it runs. */
function checks(
  { readiness, liveness }: DesiredInstance,
  port: number | undefined,
  { ip }: Place,
): Pick<Workload, 'readiness' | 'liveness'> {
  if (port === undefined) return { readiness: { kind: 'none' } };
  const url = (path: string) => `http://${ip}:${port}${path}`;
  return {
    readiness: { kind: 'http', url: url(readiness.path), timeoutMs: readiness.timeoutMs },
    ...(liveness && { liveness: { ...liveness, url: url(liveness.path) } }),
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
  const { [httpPort]: port, ...further } = status.ports;
  return {
    id: status.id,
    state: observedState(status),
    reason: `${status.reason}${weakness === null ? '' : ` (${weakness})`}`.slice(0, 2_000),
    address: port === undefined || port === 0 ? null : { ip, port },
    ports: Object.fromEntries(Object.entries(further).map(([name, port]) => [name, { ip, port }])),
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
