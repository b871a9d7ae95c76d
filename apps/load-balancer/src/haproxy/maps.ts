/**
 * Which requests lead where, as HAProxy's maps hold it, which change at run time. Pure.
 *
 *   routes   <host><path>/ → <backend>, or |<lead>[|<id>[|<location>]]   the longest key that a request's own begins with
 *   splits   <lead>:<0..99> → backend                     for a lead that is spread over several pools
 *   headers  <id>:<q or s>:<name> → value in base64, or * which removes
 *
 * A lead is a backend, a split, or `redirect_<status>[_keep]`. Text that people wrote is in base64: neither a map's file
 * nor a command on HAProxy's socket has quotes that all characters survive.
 */
import { createHash } from 'node:crypto';
import type { HeaderChanges, Host, ProxySpec, Share } from '../proxy/proxy.engine';
import { backendName, isBackendName } from './place-names';

/** Files, relative to haproxy.cfg; HAProxy knows the maps by these names at run time. */
export const mapFiles = { routes: 'maps/routes.map', splits: 'maps/splits.map', headers: 'maps/headers.map' } as const;
export type MapName = keyof typeof mapFiles;
/** Key → value of each map. */
export type Maps = Readonly<Record<MapName, Readonly<Record<string, string>>>>;
export const emptyMaps: Maps = { routes: {}, splits: {}, headers: {} };

/** Names of the headers that routes can change without a reload. */
export interface HeaderNames {
  readonly request: readonly string[];
  readonly response: readonly string[];
}
export const noHeaderNames: HeaderNames = { request: [], response: [] };

/** What a map depends on comes before it. */
export const mapNames: readonly MapName[] = ['splits', 'headers', 'routes'];

/** Weights between apps are true to one in so many requests. */
export const splitParts = 100;
export const removesHeader = '*';
export const redirectStatuses = [301, 302, 303, 307, 308] as const;
/** Distinct names of headers that HAProxy's configuration holds in one direction. */
export const headerNamesMax = 64;

/** @param placeOf id of a pool → number of its backend */
export function mapsOf(spec: ProxySpec, placeOf: ReadonlyMap<string, number>): Maps {
  const maps = {
    routes: new Map<string, string>(),
    splits: new Map<string, string>(),
    headers: new Map<string, string>(),
  };
  for (const host of spec.hosts) {
    const key = keyOf(host);
    const id = createHash('sha256').update(key).digest('hex').slice(0, 16);
    const lead = leadOf(host, id, placeOf, maps.splits);
    if (lead === undefined) continue;
    const headers = addHeaders(maps.headers, id, host) ? id : '';
    const location = host.redirect === undefined ? '' : base64(host.redirect.to);
    maps.routes.set(key, valueOf(lead, headers, location));
  }
  return {
    routes: Object.fromEntries(maps.routes),
    splits: Object.fromEntries(maps.splits),
    headers: Object.fromEntries(maps.headers),
  };
}

/** An app's backend alone stands as it is: most requests lead there, and are asked no further. */
function valueOf(lead: string, headers: string, location: string): string {
  if (isBackendName(lead) && headers === '') return lead;
  return ['', lead, headers, location].join('|').replace(/\|+$/, '');
}

/** Paths end in a slash, so that `/api` is no beginning of `/apis`. */
function keyOf({ host, path = '/' }: Host): string {
  return `${host}${path.endsWith('/') ? path : `${path}/`}`;
}

function leadOf(
  host: Host,
  id: string,
  placeOf: ReadonlyMap<string, number>,
  splits: Map<string, string>,
): string | undefined {
  if (host.redirect !== undefined) return `redirect_${host.redirect.status}${host.redirect.keepPath ? '_keep' : ''}`;
  const shares = host.shares ?? [{ pool: host.pool, weight: 1 }];
  const placed = shares.flatMap(({ pool, weight }) => {
    const number = placeOf.get(pool);
    return number === undefined || weight === 0 ? [] : [{ pool: backendName(number), weight }];
  });
  if (placed.length < 2) return placed[0]?.pool;
  const lead = `split_${id}`;
  spread(placed).forEach((backend, part) => splits.set(`${lead}:${part}`, backend));
  return lead;
}

/** Gives each part to the share that is furthest behind, so that all are mixed. @returns a pool for each part */
export function spread(shares: readonly Share[]): string[] {
  const total = shares.reduce((sum, { weight }) => sum + weight, 0);
  const given = shares.map(() => 0);
  return Array.from({ length: splitParts }, (_, part) => {
    const behind = shares.map(({ weight }, index) => ((part + 1) * weight) / total - given[index]!);
    const next = behind.indexOf(Math.max(...behind));
    given[next]!++;
    return shares[next]!.pool;
  });
}

function addHeaders(headers: Map<string, string>, id: string, { headers: rules }: Host): boolean {
  const before = headers.size;
  const add = (direction: string, { set, remove }: HeaderChanges) => {
    for (const name of remove) headers.set(`${id}:${direction}:${name}`, removesHeader);
    for (const [name, value] of Object.entries(set)) headers.set(`${id}:${direction}:${name}`, base64(value));
  };
  if (rules !== undefined) {
    add('q', rules.request);
    add('s', rules.response);
  }
  return headers.size > before;
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

/**
 * The names that the configuration holds. One that is not used any more stays until there is no place for another,
 * because taking it out would need a reload.
 */
export function headerNamesOf(before: HeaderNames, spec: ProxySpec): { names: HeaderNames; unplaced: string[] } {
  const unplaced: string[] = [];
  const merge = (direction: keyof HeaderNames): string[] => {
    const used = new Set(
      spec.hosts.flatMap(({ headers }) =>
        headers === undefined ? [] : [...Object.keys(headers[direction].set), ...headers[direction].remove],
      ),
    );
    const all = [...new Set([...before[direction], ...used])].sort();
    if (all.length <= headerNamesMax) return all;
    const kept = [...used].sort();
    for (const name of kept.slice(headerNamesMax)) {
      unplaced.push(`No place for the ${direction} header ${name}: routes change ${headerNamesMax} names at most.`);
    }
    return kept.slice(0, headerNamesMax);
  };
  return { names: { request: merge('request'), response: merge('response') }, unplaced };
}
