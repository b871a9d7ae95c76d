/** What proxies are told of an app: which addresses serve it, and which share of the requests each gets. */
import type { Course } from './pace';
import { shareOf } from './pace';
import type { AppView, EndpointView, InstanceView } from './snapshot';
import { weightsFor } from './weights';

/** Lost instances stay as proxies know them; those that drain are shown as such until they end. */
export function endpointsOf(
  { app, course }: { readonly app: AppView; readonly course: Course },
  instances: readonly InstanceView[],
): EndpointView[] {
  const known = new Set(app.endpoints?.map(({ instance }) => instance));
  const serving = instances.filter((instance) => instance.address !== null && serves(instance));
  const targets = serving.filter(({ revision }) => revision === course.target.id).length;
  const others = serving.length - targets;
  const weights = weightsFor(shareOf(course.rollout, targets, others, app.replicas), targets, others);
  const endpoints = instances.flatMap((instance): EndpointView[] => {
    const { id, state, address, revision } = instance;
    if (address === null) return [];
    const weight = revision === course.target.id ? weights.target : weights.other;
    if (serves(instance)) return [{ instance: id, ...address, state: 'ready', ...(weight !== null && { weight }) }];
    return state === 'draining' && known.has(id) ? [{ instance: id, ...address, state: 'draining' }] : [];
  });
  return endpoints.sort((a, b) => (a.instance < b.instance ? -1 : 1));
}

export function isRouted(app: AppView, instance: string): boolean {
  return app.endpoints?.some((endpoint) => endpoint.instance === instance && endpoint.state === 'ready') ?? false;
}

/** It gets its share of the requests. */
export function isAsked({ state, weight }: EndpointView): boolean {
  return state === 'ready' && weight !== 0;
}

export function sameEndpoints(told: readonly EndpointView[] | null, endpoints: readonly EndpointView[]): boolean {
  if (told === null || told.length !== endpoints.length) return false;
  return told.every((one, index) => {
    const other = endpoints[index];
    return (
      other !== undefined &&
      one.instance === other.instance &&
      one.ip === other.ip &&
      one.port === other.port &&
      one.state === other.state &&
      one.weight === other.weight
    );
  });
}

function serves({ state, retiring, joinedGeneration }: InstanceView): boolean {
  return state === 'ready' || (state === 'lost' && !retiring && joinedGeneration !== null);
}
