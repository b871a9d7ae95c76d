/** "In" and "out of the load balancer" are facts about every registered proxy, not about what was sent to them. */
import type { ProxyView } from '../placement/snapshot';

/**
 * Proxies that nothing waits for any more: silent for too long while another one is heard, which has taken their place.
 * Where none is heard it is who commands them that is away, and they go on sending requests as they last knew.
 * @param silence in milliseconds, by proxy
 */
export function replacedProxies(silence: ReadonlyMap<string, number>, expiresAfterMs: number): readonly string[] {
  const silent = silentProxies(silence, expiresAfterMs);
  return silent.length < silence.size ? silent : [];
}

export function silentProxies(silence: ReadonlyMap<string, number>, expiresAfterMs: number): readonly string[] {
  return [...silence].filter(([, ms]) => ms >= expiresAfterMs).map(([id]) => id);
}

/** Every registered proxy has applied the generation. True where none ever registered: then nobody sends requests. */
export function isApplied(generation: number | null, proxies: readonly ProxyView[]): boolean {
  return generation === null || proxies.every((proxy) => proxy.appliedGeneration >= generation);
}

/** Proxies that have not applied the generation, as a reason names them. */
export function lagging(generation: number | null, proxies: readonly ProxyView[]): string[] {
  if (generation === null) return [];
  return proxies.filter((proxy) => proxy.appliedGeneration < generation).map(inWords);
}

function inWords({ id, isSilent }: ProxyView): string {
  return isSilent ? `${id} (not heard of: \`alto services\` says how load-balancer is)` : id;
}

/** Every registered proxy says that it has no request in flight to the instance. A proxy that cannot tell does not say so. */
export function isIdle(instance: string, proxies: readonly ProxyView[]): boolean {
  return proxies.every((proxy) => proxy.busy !== null && !proxy.busy.has(instance));
}
