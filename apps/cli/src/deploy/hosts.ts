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
}

/** A host that does not lead to the app yet. */
export interface HostChange {
  host: string;
  /** Name of the route to put. */
  route: string;
  /** What it leads to today; undefined where that is nothing. */
  instead?: string;
}

/** A route that leads to the app already stays as it is, with all that was set on it by hand. */
export async function planHosts(client: AltoClient, { project, app, hosts }: HostsRequest): Promise<HostChange[]> {
  if (hosts.length === 0) return [];
  const routes = await collect(client.listAll(loadBalancerOperations.routes.list, { project, limit: 200 }));
  const changes = new Map<string, HostChange>();
  for (const host of hosts) {
    const present = routes.find((route) => route.host === host.toLowerCase() && route.path === '/');
    if (present !== undefined && leadsTo(present, app)) continue;
    const names = [...routes.map(({ name }) => name), ...[...changes.values()].map(({ route }) => route)];
    changes.set(host.toLowerCase(), {
      host,
      route: present?.name ?? unusedName(host, app, names),
      ...(present !== undefined && { instead: targetOf(present) }),
    });
  }
  return [...changes.values()];
}

export async function leadHosts(
  client: AltoClient,
  { project, app }: HostsRequest,
  changes: readonly HostChange[],
): Promise<void> {
  for (const { host, route } of changes) await client.routes.put({ project, route, host, app });
}

/** `shop.example.com will lead to shop instead of old` */
export function inWords({ host, instead }: HostChange, app: string): string {
  return `${nameOf(host)} will lead to ${app}${instead === undefined ? '' : ` instead of ${instead}`}`;
}

export function nameOf(host: string): string {
  return host === '*' ? 'every host that nothing else matches' : host;
}

function leadsTo({ app: only, apps }: Route, app: string): boolean {
  return only === app || (apps ?? []).some((share) => share.app === app && share.weight > 0);
}

function targetOf({ app, apps, redirect }: Route): string {
  return app ?? apps?.map((share) => share.app).join(' and ') ?? redirect?.to ?? 'nothing';
}

const nameLettersMax = 40;

/** `shop.example.com` → `shop-example-com`, unless that is, or may be, the name of another host's route. */
function unusedName(host: string, app: string, taken: readonly string[]): string {
  if (host === '*') return `${app.slice(0, nameLettersMax - '-any'.length).replace(/-+$/, '')}-any`;
  const words = host
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  if (words.length <= nameLettersMax && !taken.includes(words)) return words;
  const mark = createHash('sha256').update(host.toLowerCase()).digest('hex').slice(0, 8);
  return `${words.slice(0, nameLettersMax - mark.length - 1).replace(/-+$/, '')}-${mark}`;
}
