/** A proxy in memory, scripted by tests: it can be absent, slow to settle, or commanded by another. */
import {
  AnotherWriterError,
  type Applied,
  type EndpointTraffic,
  type Host,
  type ProxyEngine,
  ProxyEngines,
  type ProxySpec,
  type TargetReport,
} from './proxy.engine';

export class FakeProxy extends ProxyEngines implements ProxyEngine {
  /** Every spec that was applied, in order. */
  readonly specs: ProxySpec[] = [];
  /** Not settled for this reason. */
  unsettled: string | undefined;
  /** Ids of endpoints with requests in flight. */
  busy: string[] = [];
  /** Ids of endpoints that the proxy cannot connect to. */
  readonly down = new Set<string>();
  /** What it has counted. */
  counted: EndpointTraffic[] = [];
  private isOpen = false;

  get spec(): ProxySpec {
    return this.specs.at(-1) ?? { pools: [], hosts: [] };
  }

  open(): Promise<ProxyEngine> {
    if (this.isOpen) return Promise.reject(new AnotherWriterError('Another load balancer commands the fake proxy.'));
    this.isOpen = true;
    return Promise.resolve(this);
  }

  apply(spec: ProxySpec): Promise<Applied> {
    this.specs.push(structuredClone(spec) as ProxySpec);
    if (this.unsettled !== undefined) return Promise.resolve({ settled: false, reason: this.unsettled });
    return Promise.resolve({ settled: true, reason: '', busy: this.busy });
  }

  targets(pool: string): Promise<TargetReport[]> {
    const endpoints = this.spec.pools.find(({ id }) => id === pool)?.endpoints ?? [];
    return Promise.resolve(
      endpoints.map(({ id, state }) => ({
        pool,
        endpoint: id,
        state: state === 'draining' ? 'draining' : this.down.has(id) ? 'down' : 'up',
        reason: 'The fake proxy says so.',
      })),
    );
  }

  traffic(): Promise<readonly EndpointTraffic[]> {
    return Promise.resolve(structuredClone(this.counted));
  }

  close(): Promise<void> {
    this.isOpen = false;
    return Promise.resolve();
  }

  /** Ids of the endpoints that would answer a request for this host and path. */
  answering(host: string, path = '/'): string[] {
    const { hosts, pools } = this.spec;
    const known = new Set(pools.map(({ id }) => id));
    const leads = hosts
      .filter((one) => `${path.split('?')[0]}/`.startsWith(`${one.path ?? '/'}/`.replace('//', '/')))
      .map((one) => ({ ...one, pools: poolsOf(one).filter((id) => known.has(id)) }))
      .filter(({ pools: some }) => some.length > 0)
      .sort((one, other) => (other.path ?? '/').length - (one.path ?? '/').length);
    const lead = leads.find((one) => one.host === host) ?? leads.find((one) => one.host === '*');
    return pools
      .filter(({ id }) => lead?.pools.includes(id))
      .flatMap(({ endpoints }) => endpoints)
      .filter(({ id, state, weight }) => state === 'ready' && weight !== 0 && !this.down.has(id))
      .map(({ id }) => id);
  }
}

function poolsOf(host: Host): string[] {
  if (host.pool !== undefined) return [host.pool];
  return (host.shares ?? []).flatMap(({ pool, weight }) => (weight > 0 ? [pool] : []));
}
