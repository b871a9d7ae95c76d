/** What the planner sees: one moment of the cluster, as plain values. Times are Unix milliseconds. */
import type { InstanceState } from '../instances/instance.state';
import type { RolloutPhase, RolloutView } from '../rollouts/rollout.state';

export interface Resources {
  readonly cpuMillis: number;
  readonly memoryBytes: number;
}

export interface NodeView {
  readonly id: string;
  readonly name: string;
  readonly state: 'ready' | 'suspect' | 'lost';
  /** Whether it takes new instances, and whether those it has shall leave it. */
  readonly intake: Intake;
  readonly labels: Readonly<Record<string, string>>;
  readonly capacity: Resources;
}

export type Intake = 'open' | 'cordoned' | 'draining';

export interface Constraint {
  /** Label of nodes, or `node` for the name. */
  readonly label: string;
  readonly equals: string;
}

export interface RevisionView {
  readonly id: string;
  readonly number: number;
  readonly resources: Resources;
  readonly constraints: readonly Constraint[];
  /** Label over whose values instances are spread. */
  readonly spread: string;
  /** Names of the ports that its instances have. */
  readonly ports: readonly string[];
  /** Size of the revision in an agent's instructions. */
  readonly setBytes: number;
}

export interface InstanceView {
  readonly id: string;
  readonly app: string;
  readonly revision: string;
  /** Null while no machine can take it. */
  readonly node: string | null;
  readonly state: InstanceState;
  readonly reason: string;
  /** It shall go; how far that has come is told by its state. */
  readonly retiring: boolean;
  readonly address: { readonly ip: string; readonly port: number } | null;
  readonly version: number;
  readonly restarts: number;
  /** Since when it has been ready and known to every proxy; null while it is not. */
  readonly availableAt: number | null;
  readonly createdAt: number;
  /** When it entered its state. */
  readonly stateAt: number;
  /** Generation in which proxies were first told to send it requests; null when never, or not any more. */
  readonly joinedGeneration: number | null;
  /** Generation in which proxies were told to send it no more requests. */
  readonly leftGeneration: number | null;
  /** Until when requests in flight may take; null before every proxy has let go. */
  readonly drainUntil: number | null;
}

export interface EndpointView {
  readonly instance: string;
  readonly ip: string;
  readonly port: number;
  readonly state: 'ready' | 'draining';
  /** 100 unless given. */
  readonly weight?: number;
}

/** What users are told of an app's rollout. */
export interface RolloutStatus {
  readonly number: number;
  readonly phase: RolloutPhase;
  readonly strategy: 'rolling' | 'canary' | 'blue-green';
  readonly from: number | null;
  readonly to: number;
  readonly reason: string;
  readonly step: { readonly number: number; readonly of: number; readonly weight: number } | null;
  readonly failingInstance: string | null;
  readonly lastLogLines: readonly string[];
}

export interface AppStatus {
  readonly state: 'running' | 'progressing' | 'degraded' | 'rolled_back' | 'stopped' | 'deleting';
  readonly reason: string;
  readonly desired: number;
  readonly ready: number;
  readonly updated: number;
  readonly rollout: RolloutStatus | null;
}

export interface AppView {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  /** 0 for an app that is being deleted. */
  readonly replicas: number;
  readonly deleting: boolean;
  /** Revision that every instance should be of. */
  readonly target: RevisionView;
  /** Last revision that was seen healthy; null before the first one. */
  readonly good: RevisionView | null;
  /** The newest one, over or not; null for an app that has had none. */
  readonly rollout: RolloutView | null;
  readonly status: AppStatus;
  /** What proxies were last told, ordered by instance; null when they have not heard of the app. */
  readonly endpoints: readonly EndpointView[] | null;
  readonly endpointsGeneration: number | null;
  /** How instances have answered since the rollout began; empty when none runs. */
  readonly traffic: readonly TrafficView[];
}

/** Requests to one instance through all proxies, counted within a rollout; it may be gone since. */
export interface TrafficView {
  readonly instance: string;
  readonly revision: string;
  readonly requests: number;
  readonly failures: number;
}

/** A proxy that has registered, and whose place no other one has taken. */
export interface ProxyView {
  readonly id: string;
  readonly appliedGeneration: number;
  /** Instances out of rotation that still have requests in flight; null when the proxy cannot tell. */
  readonly busy: ReadonlySet<string> | null;
  /** Counts its reports. */
  readonly heartbeats: number;
  /** Not heard of for so long that who commands it is likely away. It goes on sending requests as it last knew. */
  readonly isSilent: boolean;
}

/** A stretch of time that never was: the clock was set forward from its beginning to its end. */
export interface ClockSkip {
  readonly from: number;
  readonly until: number;
}

export interface Snapshot {
  readonly nodes: readonly NodeView[];
  readonly apps: readonly AppView[];
  readonly instances: readonly InstanceView[];
  /** Revisions that instances are of, by id. */
  readonly revisions: ReadonlyMap<string, RevisionView>;
  readonly proxies: readonly ProxyView[];
  /** Those that something which waits may have waited through. */
  readonly clockSkips: readonly ClockSkip[];
}

/** How the planner behaves; from the service's configuration. */
export interface PlanLimits {
  readonly drainMs: number;
  /** How long an instance that its agent has given up stays before another one is tried. */
  readonly failedHoldMs: number;
}
