/**
 * What the load balancer asks of a proxy. Level-triggered: each call says all that shall hold, so that a call that
 * failed half-way, or was never made because the process died, is made good by the next one.
 */

export interface Address {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface Endpoint extends Address {
  /** Unique within its pool, and the same for the endpoint's whole life. */
  readonly id: string;
  /** `draining` gets no new request; those in flight end in peace. */
  readonly state: 'ready' | 'draining';
  /** Its share of new requests against the other endpoints of its pool, 0 to 256; {@link usualWeight} unless given. */
  readonly weight?: number;
}

export const usualWeight = 100;

/** The endpoints that serve one app. */
export interface Pool {
  readonly id: string;
  readonly endpoints: readonly Endpoint[];
}

interface Place {
  /** Lower-case host name without a port, or `*` for every host of which no path matches. */
  readonly host: string;
  /** Beginning of the path, by whole segments; of several that match the longest wins. All paths unless given. */
  readonly path?: string;
  readonly headers?: HeaderRules;
}

/** Where requests for a host lead: to a pool, to several by their weights, or elsewhere. */
export type Host = Place &
  (
    | { readonly pool: string; readonly shares?: undefined; readonly redirect?: undefined }
    | { readonly shares: readonly Share[]; readonly pool?: undefined; readonly redirect?: undefined }
    | { readonly redirect: Redirect; readonly pool?: undefined; readonly shares?: undefined }
  );

export interface Share {
  readonly pool: string;
  /** Against the other shares; with 0 the pool gets nothing. */
  readonly weight: number;
}

export interface Redirect {
  readonly status: number;
  /** A URL, or a path of the same host. */
  readonly to: string;
  /** The request's path and query are put behind it. */
  readonly keepPath: boolean;
}

export interface HeaderChanges {
  /** Lower-case name → value. */
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface HeaderRules {
  readonly request: HeaderChanges;
  readonly response: HeaderChanges;
}

export interface ProxySpec {
  readonly pools: readonly Pool[];
  readonly hosts: readonly Host[];
}

export interface Applied {
  /**
   * No running proxy process begins a request to an endpoint that is not `ready` in the spec, nor for a host that is
   * not in it. False while that cannot be vouched for; the next call may say true.
   */
  readonly settled: boolean;
  /** What is being waited for, is wrong or found no place, in words; empty when the whole spec holds. */
  readonly reason: string;
  /**
   * Ids of endpoints that get no new requests and still have requests in flight; left out when the proxy cannot tell.
   */
  readonly busy?: readonly string[];
}

export interface TargetReport {
  readonly pool: string;
  readonly endpoint: string;
  /** `down`: the spec wants it to serve and the proxy cannot connect to it. */
  readonly state: 'up' | 'down' | 'draining' | 'unknown';
  readonly reason: string;
}

/** How an endpoint has answered since the engine first looked at it. Each attempt counts, also one that was repeated. */
export interface EndpointTraffic {
  readonly endpoint: string;
  readonly requests: number;
  /** Of those: answered 5xx, cut, or never answered. */
  readonly failures: number;
}

export interface ProxyEngine {
  /**
   * Makes the spec hold: on disk first, so that a proxy started later serves it with everything else down, then in
   * the running proxy, without cutting or failing a request that the change does not concern. Calls do not overlap.
   * @throws Error when the files cannot be written
   */
  apply(spec: ProxySpec): Promise<Applied>;
  /** What the proxy itself found out about the targets of one pool; `unknown` when it does not answer. */
  targets(pool: string): Promise<TargetReport[]>;
  /** Of every endpoint that has got requests; what was counted before while the proxy does not answer. */
  traffic(): Promise<readonly EndpointTraffic[]>;
  close(): Promise<void>;
}

/** Another process commands this proxy. */
export class AnotherWriterError extends Error {
  override readonly name = 'AnotherWriterError';
}

/** Where an engine comes from. */
export abstract class ProxyEngines {
  /** @throws AnotherWriterError while another process commands the proxy */
  abstract open(): Promise<ProxyEngine>;
  /** What {@link ProxyEngine.targets} tells, for a process that does not command the proxy. */
  abstract targets(pool: string): Promise<TargetReport[]>;
}
