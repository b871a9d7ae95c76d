import { childrenOf } from '@alto/testing';

/** A process and all below it: around a sandboxed app there are others, and what is asked of it may be done by them. */
export function withDescendants(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(withDescendants)];
}
