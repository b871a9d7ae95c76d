/** "In" and "out of the load balancer" are facts about every registered proxy, not about what was sent to them. */
import type { ProxyView } from '../placement/snapshot';

/** Every registered proxy has applied the generation. True without proxies: then nobody sends requests. */
export function isApplied(generation: number | null, proxies: readonly ProxyView[]): boolean {
  return generation === null || proxies.every((proxy) => proxy.appliedGeneration >= generation);
}

/** Proxies that have not applied the generation, to be named in a reason. */
export function lagging(generation: number | null, proxies: readonly ProxyView[]): string[] {
  if (generation === null) return [];
  return proxies.filter((proxy) => proxy.appliedGeneration < generation).map((proxy) => proxy.id);
}

/** Every registered proxy says that it has no request in flight to the instance. A proxy that cannot tell does not say so. */
export function isIdle(instance: string, proxies: readonly ProxyView[]): boolean {
  return proxies.every((proxy) => proxy.busy !== null && !proxy.busy.has(instance));
}
