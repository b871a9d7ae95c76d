/** Host names of an app: each has a route of its own, which `alto routes` lists. */
import { createHash } from 'node:crypto';
import { loadBalancerOperations, type Route } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { collect } from '../commands/collect';

export interface HostsRequest {
  project: string;
  app: string;
  /** `*` is every host that nothing else matches. */
  hosts: readonly string[];
  progress: (message: string) => void;
}

/** A route that leads to the app already stays as it is, with all that was set on it by hand. */
export async function leadHosts(client: AltoClient, { project, app, hosts, progress }: HostsRequest): Promise<void> {
  if (hosts.length === 0) return;
  const routes = await collect(client.listAll(loadBalancerOperations.routes.list, { project, limit: 200 }));
  for (const host of hosts) {
    const present = routes.find((route) => route.host === host.toLowerCase() && route.path === '/');
    if (present === undefined || !leadsTo(present, app)) {
      const route = present?.name ?? unusedName(host, app, routes);
      routes.push(await client.routes.put({ project, route, host, app }));
    }
    progress(`${host === '*' ? 'every host that nothing else matches' : host} leads to ${app}`);
  }
}

function leadsTo({ app: only, apps }: Route, app: string): boolean {
  return only === app || (apps ?? []).some((share) => share.app === app && share.weight > 0);
}

const nameLettersMax = 40;

/** `shop.example.com` → `shop-example-com`, unless that is, or may be, the name of another host's route. */
function unusedName(host: string, app: string, routes: readonly Route[]): string {
  if (host === '*') return `${app.slice(0, nameLettersMax - '-any'.length).replace(/-+$/, '')}-any`;
  const words = host
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  if (words.length <= nameLettersMax && !routes.some(({ name }) => name === words)) return words;
  const mark = createHash('sha256').update(host.toLowerCase()).digest('hex').slice(0, 8);
  return `${words.slice(0, nameLettersMax - mark.length - 1).replace(/-+$/, '')}-${mark}`;
}
