/**
 * What the agent is asked to keep running. Plain data: it is compared, hashed and written to disk.
 *
 * Alto's own processes (PostgreSQL, NATS, HAProxy, the services) are `StaticWorkload`s, made by the first start.
 * Users' instances come from compute. Both become `Workload`s, and from there on one code runs them.
 */

import type { ListeningSocket, RunLimits } from '../runtime/runtime';

export type Signal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2' | 'SIGKILL';

/** How the agent sees, from this machine alone, that a workload can do its work. */
export type Readiness =
  /** Any 2xx or 3xx answer. */
  | { kind: 'http'; url: string; timeoutMs?: number }
  /** As `http`, over a unix socket. */
  | { kind: 'http-socket'; socketPath: string; path: string; timeoutMs?: number }
  | { kind: 'tcp'; host: string; port: number; timeoutMs?: number }
  /** A unix socket that accepts a connection: a file left by a dead process is not ready. */
  | { kind: 'unix'; socketPath: string; timeoutMs?: number }
  | { kind: 'file'; path: string }
  /** Exits with 0. Runs as the agent's user, or as the workload's own when it has one. */
  | { kind: 'exec'; argv: readonly string[]; env?: Readonly<Record<string, string>>; timeoutMs?: number }
  /** Running is being ready. */
  | { kind: 'none' };

/** Asked once a run was ready: too many failed checks in a row, and the run is stopped and started again. */
export interface Liveness {
  url: string;
  intervalMs: number;
  timeoutMs: number;
  failuresMax: number;
  /** In place of the grace of a stop: it may be frozen, and nobody waits for what it does. */
  graceMs?: number;
}

/** SIGTERM (or what the program prefers) to the main process; past `graceMs` SIGKILL to the whole tree. */
export interface StopPolicy {
  signal: Signal;
  graceMs: number;
}

/** Whether a run that ended is started again, with backoff. */
export type RestartPolicy = 'always' | 'on-failure' | 'never';

/**
 * Orders the stop of the whole: services end while what they stand on still serves,
 * and the proxy outlives the services so that their last answers arrive.
 */
export type StaticKind = 'database' | 'bus' | 'proxy' | 'service' | 'task';

/**
 * One place where an instance of a static workload can run: its ports, and what depends on them.
 * A workload with a spare slot is restarted without a gap: the new run starts in the next slot beside the old one.
 */
export interface WorkloadSlot {
  /** Merged over the workload's `env`. */
  env: Readonly<Record<string, string>>;
  /** Connections to them wait while its process is started again. */
  sockets?: readonly ListeningSocket[];
  /** By name, e.g. `{ http: 14100 }`. Shown in the status; the agent does not hand them to the process by itself. */
  ports: Readonly<Record<string, number>>;
  /** Replaces the workload's readiness, for checks that name a port. */
  readiness?: Readiness;
  liveness?: Liveness;
}

export interface StaticWorkload {
  /** Lower case letters, digits and `-`; names folders and files. */
  id: string;
  kind: StaticKind;
  command: readonly string[];
  /** The whole environment of the process: nothing of the agent's own is inherited. */
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** Runs as this user (the agent must be root); undefined: as the agent's own. */
  user?: { uid: number; gid: number };
  /** At least one. */
  slots: readonly WorkloadSlot[];
  /** How many slots run at a time; fewer than the slots, where restarts must have no gap. */
  instances: number;
  /** Ids of static workloads that must be ready (or, one-shot, done) before this one is started the first time. */
  dependsOn: readonly string[];
  /** Path without which it is not started; somebody else makes it. */
  needsFile?: string;
  readiness: Readiness;
  stop: StopPolicy;
  restart: RestartPolicy;
  /** The release it runs from, shown in the status; null for servers that Alto does not build. */
  release: { service: string; version: string } | null;
  /** Runs to its end once for each start of the whole; `ready` to its dependants when it has exited with 0. */
  oneShot?: boolean;
  /** Workloads with the same lock never run at the same time, not even while one replaces another. */
  lock?: string;
}

/** All that first start hands to the supervisor. The order of `workloads` is the order in which they are shown. */
export interface StaticManifest {
  workloads: readonly StaticWorkload[];
  /** How the agent itself reaches the bus and who may tell it things; undefined where the environment says it. */
  agent?: {
    nodeId?: string;
    natsUrl: string;
    natsCredsFile?: string;
    callerPublicKeys?: string;
  };
}

/** One process to keep running: a slot of a static workload, or an instance of an app. */
export interface Workload {
  /** Unique on the machine: `gateway.0`, `inst_…`. Names the folder of its runs. */
  id: string;
  kind: StaticKind | 'instance';
  /** What people call it: the static workload's id, or `project/app`. */
  name: string;
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  user?: { uid: number; gid: number };
  ports: Readonly<Record<string, number>>;
  dependsOn: readonly string[];
  readiness: Readiness;
  liveness?: Liveness;
  stop: StopPolicy;
  restart: RestartPolicy;
  release: { service: string; version: string } | null;
  oneShot: boolean;
  lock?: string;
  limits?: RunLimits;
  sockets?: readonly ListeningSocket[];
  needsFile?: string;
}

/** The unit of supervision for one slot of a static workload. */
export function workloadOfSlot(workload: StaticWorkload, slot: number): Workload {
  const place = workload.slots[slot];
  if (!place) throw new RangeError(`Workload ${workload.id} has no slot ${slot}.`);
  return {
    id: slotId(workload.id, slot),
    kind: workload.kind,
    name: workload.id,
    command: workload.command,
    env: { ...workload.env, ...place.env },
    cwd: workload.cwd,
    user: workload.user,
    ports: place.ports,
    dependsOn: workload.dependsOn,
    readiness: place.readiness ?? workload.readiness,
    ...(place.liveness && { liveness: place.liveness }),
    ...(place.sockets && { sockets: place.sockets }),
    ...(workload.needsFile !== undefined && { needsFile: workload.needsFile }),
    stop: workload.stop,
    restart: workload.restart,
    release: workload.release,
    oneShot: workload.oneShot ?? false,
    lock: workload.lock,
  };
}

export function slotId(workloadId: string, slot: number): string {
  return `${workloadId}.${slot}`;
}
