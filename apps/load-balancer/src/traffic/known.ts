/** All that is known of endpoints and routes, and the proxy's spec that follows from it. Pure. */
import { type EndpointSet, endpointSetSchema, routeSchema } from '@alto/contracts';
import { z } from 'zod';
import type { Endpoint, Host, Pool, ProxySpec, Share } from '../proxy/proxy.engine';

const routeDetailsSchema = routeSchema.pick({ apps: true, redirect: true, headers: true });
/** What a route holds beyond a host, a path and an app. */
export type RouteDetails = z.infer<typeof routeDetailsSchema>;

const knownRouteSchema = z.object({
  id: z.string(),
  project: z.string(),
  host: z.string(),
  path: z.string().optional(),
  app: z.string(),
  details: routeDetailsSchema.nullable().optional(),
});
/** A route as the proxy needs it. `app` is a name within the project; empty for a redirect. */
export type KnownRoute = z.infer<typeof knownRouteSchema>;

export const knownSchema = z.object({
  version: z.literal(1),
  /** This proxy, as compute knows it, whichever process commands it. */
  proxy: z.string(),
  /** Of the endpoint sets. */
  generation: z.number().int(),
  sets: z.array(endpointSetSchema),
  routesGeneration: z.number().int(),
  routes: z.array(knownRouteSchema),
});
export type Known = z.infer<typeof knownSchema>;

export function nothingKnown(proxy: string): Known {
  return { version: 1, proxy, generation: 0, sets: [], routesGeneration: 0, routes: [] };
}

export interface EndpointNews {
  readonly generation: number;
  readonly complete: boolean;
  readonly sets: readonly EndpointSet[];
}

/** An older answer that comes late changes nothing; a complete one replaces all, also by an older history. */
export function learnEndpoints(known: Known, news: EndpointNews): Known {
  const sets = new Map(news.complete ? [] : known.sets.map((set) => [set.app, set]));
  for (const set of news.sets) {
    const before = sets.get(set.app);
    if (before !== undefined && before.generation > set.generation) continue;
    if (set.deleted) sets.delete(set.app);
    else sets.set(set.app, set);
  }
  const generation = news.complete ? news.generation : Math.max(known.generation, news.generation);
  return { ...known, generation, sets: [...sets.values()] };
}

export function learnRoutes(known: Known, routesGeneration: number, routes: readonly KnownRoute[]): Known {
  return { ...known, routesGeneration, routes: [...routes] };
}

export function defaultHost(
  { appName, projectName }: Pick<EndpointSet, 'appName' | 'projectName'>,
  domain: string,
): string {
  return `${appName}.${projectName}.${domain}`;
}

export function setOf(known: Known, project: string, app: string): EndpointSet | undefined {
  return known.sets.find((set) => set.project === project && set.appName === app);
}

/** The apps that a route leads to: none for a redirect. */
export function sharesOf({ app, details }: Pick<KnownRoute, 'app' | 'details'>): { app: string; weight: number }[] {
  if (details?.redirect !== undefined) return [];
  return details?.apps ?? [{ app, weight: 1 }];
}

function toEndpoint({ instance, ip, port, state, weight }: EndpointSet['endpoints'][number]): Endpoint {
  return { id: instance, address: ip, port, state, ...(weight !== undefined && { weight }) };
}

/**
 * Every app at its default host and at its routes; a project's route wins over the default host of its own app.
 * @param out instances that get no requests although compute has them serve
 */
export function specOf(known: Known, domain: string, out: { has(instance: string): boolean } = new Set()): ProxySpec {
  const without = (endpoint: Endpoint): Endpoint =>
    out.has(endpoint.id) ? { ...endpoint, state: 'draining' } : endpoint;
  const pools = known.sets.map(({ app, endpoints }): Pool => ({
    id: app,
    endpoints: endpoints.map(toEndpoint).map(without),
  }));
  const byName = new Map(known.sets.map((set) => [`${set.project} ${set.appName}`, set]));
  const hosts = new Map<string, Host>();
  for (const set of known.sets) {
    const host = defaultHost(set, domain);
    hosts.set(`${host}/`, { host, pool: set.app });
  }
  for (const route of known.routes) {
    const key = `${route.host}${route.path ?? '/'}`;
    const host = hostOf(route, (app) => byName.get(`${route.project} ${app}`));
    if (host === undefined) hosts.delete(key);
    else hosts.set(key, host);
  }
  return { pools, hosts: [...hosts.values()] };
}

function hostOf(route: KnownRoute, find: (app: string) => EndpointSet | undefined): Host | undefined {
  const { host, path = '/', details } = route;
  const place = { host, ...(path !== '/' && { path }), ...(details?.headers && { headers: details.headers }) };
  if (details?.redirect !== undefined) return { ...place, redirect: details.redirect };
  const known = sharesOf(route).flatMap(({ app, weight }) => {
    const set = find(app);
    return set === undefined ? [] : [{ set, weight }];
  });
  // An app that nothing serves leaves its share to the others.
  const serving = known.filter(({ set, weight }) => weight > 0 && set.endpoints.some(({ state }) => state === 'ready'));
  const shares = (serving.length > 0 ? serving : known).map(({ set, weight }): Share => ({ pool: set.app, weight }));
  const [first] = shares;
  if (first === undefined) return undefined;
  return shares.length === 1 ? { ...place, pool: first.pool } : { ...place, shares };
}
