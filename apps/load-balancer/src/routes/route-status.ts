/** Why a route serves or does not, in words. Pure. */
import type { EndpointSet, Route } from '@alto/contracts';
import type { TargetReport } from '../proxy/proxy.engine';

type Status = Route['status'];
type Target = Status['targets'][number];

/** @param proxyReason what keeps the proxy from being as it should; empty when nothing does */
export function routeStatus(
  app: string,
  set: EndpointSet | undefined,
  reports: readonly TargetReport[],
  proxyReason: string,
): Status {
  if (set === undefined) {
    const reason = `The project has no app '${app}' that was deployed; the route serves as soon as there is one.`;
    return { state: 'unknown_app', reason, targets: [] };
  }
  const byEndpoint = new Map(reports.map((report) => [report.endpoint, report]));
  const targets = set.endpoints.map((endpoint) => targetOf(endpoint, byEndpoint.get(endpoint.instance)));
  const ready = targets.filter(({ state }) => state === 'ready').length;
  const also = proxyReason === '' ? '' : ` ${proxyReason}`;
  if (ready > 0)
    return { state: 'serving', reason: `${ready} of ${targets.length} targets get requests.${also}`, targets };
  const why = targets.length === 0 ? `No instance of '${app}' is ready.` : 'None of the targets can get requests now.';
  return { state: 'no_targets', reason: `${why} Requests are answered with 503 meanwhile.${also}`, targets };
}

function targetOf(
  { instance, ip, port, state }: EndpointSet['endpoints'][number],
  report: TargetReport | undefined,
): Target {
  const address = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
  if (state === 'draining') {
    return {
      instance,
      address,
      state,
      reason: 'It is being stopped: it gets no new requests, and those in flight may end.',
    };
  }
  if (report === undefined)
    return { instance, address, state, reason: 'It was reported ready; this proxy has not said more.' };
  return { instance, address, state: report.state === 'down' ? 'out' : 'ready', reason: report.reason };
}
