/** All that is known of endpoints and routes, and the proxy's spec that follows from it. Pure. */
import { type EndpointSet, endpointSetSchema } from '@alto/contracts';
import { z } from 'zod';
import type { Endpoint, Host, Pool, ProxySpec } from '../proxy/proxy.engine';

const knownRouteSchema = z.object({ id: z.string(), project: z.string(), host: z.string(), app: z.string() });
/** A route as the proxy needs it. `app` is a name within the project. */
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

interface EndpointNews {
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

/** The set of the app that a route leads to. */
export function setOf(known: Known, { project, app }: Pick<KnownRoute, 'project' | 'app'>): EndpointSet | undefined {
  return known.sets.find((set) => set.project === project && set.appName === app);
}

function toEndpoint({ instance, ip, port, state, weight }: EndpointSet['endpoints'][number]): Endpoint {
  return { id: instance, address: ip, port, state, ...(weight !== undefined && { weight }) };
}

/** Every app at its default host and at its routes; a project's route wins over the default host of its own app. */
export function specOf(known: Known, domain: string): ProxySpec {
  const pools = known.sets.map(({ app, endpoints }): Pool => ({
    id: app,
    endpoints: endpoints.map(toEndpoint),
  }));
  const byName = new Map(known.sets.map((set) => [`${set.project} ${set.appName}`, set.app]));
  const hosts = new Map(known.sets.map((set) => [defaultHost(set, domain), set.app]));
  for (const { project, host, app } of known.routes) {
    const pool = byName.get(`${project} ${app}`);
    if (pool === undefined) hosts.delete(host);
    else hosts.set(host, pool);
  }
  return { pools, hosts: Array.from(hosts, ([host, pool]): Host => ({ host, pool })) };
}
