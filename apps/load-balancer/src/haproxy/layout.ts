/**
 * Where everything has its place in HAProxy: which pre-allocated backend holds a pool and which of its slots an
 * endpoint. Places are kept as long as what is in them exists, so that a change touches nothing else. Pure.
 *
 *     free ──arrange──▶ ready ⇄ draining ──no longer in the spec──▶ gone ──no connection left──▶ free
 *
 * A slot whose endpoint is gone stays reserved until no connection uses it: HAProxy hands a connection that is in use
 * while a slot gets another address back to the slot afterwards, and so would send requests to the old address.
 */
import { type Address, type Endpoint, type ProxySpec, usualWeight } from '../proxy/proxy.engine';
import { emptyMaps, type HeaderNames, headerNamesOf, type Maps, mapsOf, noHeaderNames } from './maps';

export const backendsFirst = 256;
export const backendsMax = 4_096;
export const slotsFirst = 16;
export const slotsMax = 1_024;

export interface Slot extends Address {
  readonly id: string;
  readonly state: 'ready' | 'draining' | 'gone';
  readonly weight: number;
}

export interface Backend {
  /** Id of the pool in it; null when free. */
  readonly pool: string | null;
  /** Slot number (from 1) less one → what is in it; null when free. */
  readonly slots: readonly (Slot | null)[];
}

export interface Layout {
  readonly backends: readonly Backend[];
  /** What the maps hold; it follows from the spec and from the places. */
  readonly maps: Maps;
  readonly headerNames: HeaderNames;
}

export interface Arranged {
  readonly layout: Layout;
  /** What found no place, in words. Nothing is left out in silence. */
  readonly unplaced: readonly string[];
}

/** Whether no connection uses a slot any more. */
export type Unused = (backend: number, slot: number) => boolean;

const freeSlots = (count: number): null[] => Array<null>(count).fill(null);
const freeBackend: Backend = { pool: null, slots: freeSlots(slotsFirst) };

export const emptyLayout: Layout = {
  backends: Array<Backend>(backendsFirst).fill(freeBackend),
  maps: emptyMaps,
  headerNames: noHeaderNames,
};

/**
 * For when the layout was lost: every place of a HAProxy that may run counts as taken until no connection uses it, so
 * that none is given to another app while hosts and connections still lead there.
 */
export const lostLayout: Layout = {
  backends: Array.from({ length: backendsFirst }, (_, number) => ({
    pool: `lost-${number}`,
    slots: Array<Slot>(slotsFirst).fill({
      id: 'lost',
      address: '127.0.0.1',
      port: 1,
      state: 'gone',
      weight: usualWeight,
    }),
  })),
  maps: emptyMaps,
  headerNames: noHeaderNames,
};

/** Backends with a slot that gets no new requests, whose connections are to end. */
export function endingBackends(layout: Layout): number[] {
  return layout.backends.flatMap(({ slots }, number) => (slots.some(isEnding) ? [number] : []));
}

export function isEnding(slot: Slot | null): slot is Slot {
  return slot !== null && slot.state !== 'ready';
}

/**
 * Gives each pool a backend and each endpoint a slot. A backend that becomes free is given to another pool by a later
 * call at the earliest: files are replaced one after the other, and a crash in between must not lead the host of one
 * project to the app of another.
 */
export function arrange(before: Layout, spec: ProxySpec, unused: Unused): Arranged {
  const unplaced: string[] = [];
  const wanted = new Map(spec.pools.map((pool) => [pool.id, pool]));
  const placeOf = new Map<string, number>();
  const free: number[] = [];
  const backends = before.backends.map(({ pool, slots }, number): Backend => {
    if (pool === null) free.push(number);
    else if (wanted.has(pool)) placeOf.set(pool, number);
    const endpoints = (pool !== null && wanted.get(pool)?.endpoints) || [];
    const kept = arrangeSlots(slots, endpoints, (slot) => unused(number, slot));
    const inUse = pool !== null && (wanted.has(pool) || kept.some((slot) => slot !== null));
    return { pool: inUse ? pool : null, slots: kept };
  });
  free.reverse();
  for (const { id, endpoints } of wanted.values()) {
    const number = placeOf.get(id) ?? free.pop() ?? grow(backends, free);
    if (number === undefined) {
      unplaced.push(`App ${id} has no place: this proxy holds ${backendsMax} apps at most.`);
      continue;
    }
    if (!placeOf.has(id))
      backends[number] = { pool: id, slots: arrangeSlots(backends[number]!.slots, endpoints, never) };
    placeOf.set(id, number);
    const left =
      endpoints.length - backends[number]!.slots.filter((slot) => slot !== null && slot.state !== 'gone').length;
    if (left > 0) unplaced.push(`${left} endpoints of app ${id} have no place: an app has ${slotsMax} slots at most.`);
  }
  const { names, unplaced: namesLeft } = headerNamesOf(before.headerNames, spec);
  unplaced.push(...namesLeft);
  return { layout: { backends, maps: mapsOf(spec, placeOf), headerNames: names }, unplaced };
}

const never = (): boolean => false;

/** Doubles the backends. @returns one of the new ones, or undefined when there may be no more */
function grow(backends: Backend[], free: number[]): number | undefined {
  const first = backends.length;
  const next = Math.min(backendsMax, Math.max(backendsFirst, first * 2));
  for (let number = first; number < next; number++) backends.push(freeBackend);
  for (let number = next - 1; number >= first; number--) free.push(number);
  return free.pop();
}

const identity = ({ id, address, port }: Endpoint | Slot): string => `${id} ${address} ${port}`;

/** Endpoints keep their slots; new ones get free slots, lowest first; slots are added sixteen at a time. */
function arrangeSlots(
  before: Backend['slots'],
  endpoints: readonly Endpoint[],
  unused: (slot: number) => boolean,
): Backend['slots'] {
  const wanted = new Map(endpoints.map((endpoint) => [identity(endpoint), endpoint]));
  const slots = before.map((slot, index): Slot | null => {
    const endpoint = slot === null ? undefined : wanted.get(identity(slot));
    if (slot === null || endpoint !== undefined) {
      if (slot !== null) wanted.delete(identity(slot));
      return endpoint === undefined ? null : toSlot(endpoint);
    }
    return slot.state === 'gone' && unused(index) ? null : { ...slot, state: 'gone' };
  });
  const missing = wanted.size - slots.filter((slot) => slot === null).length;
  const more = Math.min(Math.ceil(Math.max(0, missing) / slotsFirst) * slotsFirst, slotsMax - slots.length);
  slots.push(...freeSlots(Math.max(0, more)));
  const rest = wanted.values();
  return slots.map((slot) => slot ?? nextSlot(rest));
}

function nextSlot(endpoints: Iterator<Endpoint>): Slot | null {
  const next = endpoints.next();
  return next.done === true ? null : toSlot(next.value);
}

function toSlot({ id, address, port, state, weight = usualWeight }: Endpoint): Slot {
  return { id, address, port, state, weight };
}
