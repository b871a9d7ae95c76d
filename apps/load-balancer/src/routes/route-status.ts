/** Why a route serves or does not, in words. Pure. */
import type { EndpointSet, Route } from '@alto/contracts';
import type { TargetReport } from '../proxy/proxy.engine';

type Status = Route['status'];
type Target = Status['targets'][number];

/** One app of a route. */
export interface Lead {
  readonly app: string;
  /** Against the other apps of the route. */
  readonly weight: number;
  /** What compute said of the app; undefined when it knows none of that name. */
  readonly set: EndpointSet | undefined;
  readonly reports: readonly TargetReport[];
  /** Instances that are out for a while because they alone failed. */
  readonly ejected: ReadonlyMap<string, { readonly untilMs: number; readonly reason: string }>;
}

/** @param proxyReason what keeps the proxy from being as it should; empty when nothing does */
export function routeStatus(
  { redirect }: Pick<Route, 'redirect'>,
  leads: readonly Lead[],
  proxyReason: string,
): Status {
  const also = proxyReason === '' ? '' : ` ${proxyReason}`;
  if (redirect !== undefined) {
    const where = redirect.keepPath ? `${redirect.to} and the path behind it` : redirect.to;
    const reason = `Clients are sent to ${where} with status ${redirect.status}.${also}`;
    return { state: 'redirecting', reason, targets: [] };
  }
  const unknown = leads.filter(({ set }) => set === undefined).map(({ app }) => `'${app}'`);
  if (unknown.length === leads.length) {
    const reason = `The project has no app ${unknown.join(', ')} that was deployed; the route serves as soon as there is one.`;
    return { state: 'unknown_app', reason, targets: [] };
  }
  const targets = leads.flatMap(targetsOf).slice(0, targetsMax);
  const ready = targets.filter(({ state }) => state === 'ready').length;
  const missing = unknown.length === 0 ? '' : ` There is no app ${unknown.join(', ')}; its share goes to the others.`;
  if (ready > 0) {
    const reason = `${ready} of ${targets.length} targets get requests.${missing}${also}`;
    return { state: 'serving', reason, targets };
  }
  const names = leads.map(({ app }) => `'${app}'`).join(', ');
  const why =
    targets.length === 0
      ? `No instance of ${names} is ready at a port \`http\`.`
      : 'None of the targets can get requests now.';
  return { state: 'no_targets', reason: `${why} Requests are answered with 503 meanwhile.${missing}${also}`, targets };
}

const targetsMax = 1_000;

function targetsOf({ app, weight, set, reports, ejected }: Lead): Target[] {
  const byEndpoint = new Map(reports.map((report) => [report.endpoint, report]));
  return (set?.endpoints ?? []).map((endpoint) => ({
    ...targetOf(endpoint, weight, byEndpoint.get(endpoint.instance), ejected.get(endpoint.instance)),
    app,
  }));
}

function targetOf(
  { instance, ip, port, state, weight = 1 }: EndpointSet['endpoints'][number],
  appWeight: number,
  report: TargetReport | undefined,
  ejection: { readonly untilMs: number; readonly reason: string } | undefined,
): Target {
  const address = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
  const out = (reason: string): Target => ({ instance, address, state: 'out', reason });
  if (state === 'draining') {
    return {
      instance,
      address,
      state,
      reason: 'It is being stopped: it gets no new requests, and those in flight may end.',
    };
  }
  if (appWeight === 0) return out('The route gives its app a weight of 0.');
  if (weight === 0) return out('Its weight is 0: it gets no new requests until its rollout gives it a share.');
  if (ejection !== undefined) {
    return out(`It gets no requests until ${new Date(ejection.untilMs).toISOString()}: ${ejection.reason}.`);
  }
  if (report === undefined)
    return { instance, address, state, reason: 'It was reported ready; this proxy has not said more.' };
  return { instance, address, state: report.state === 'down' ? 'out' : 'ready', reason: report.reason };
}
