/**
 * Nudges: "look now". They may be lost, doubled or late, for everyone looks every few seconds anyway; what they are
 * about is always in the database.
 */
import { Injectable } from '@nestjs/common';
import { AltoClient } from '@alto/platform';

export const reconcilerNudge = 'alto.nudge.compute.reconciler';

@Injectable()
export class Nudges {
  constructor(private readonly client: AltoClient) {}

  /** Agents whose instructions have changed. */
  nodes(ids: Iterable<string>): void {
    for (const id of ids) this.client.publish(`alto.nudge.node.${id}`);
  }

  /** Proxies, when an endpoint set has changed or they are to say what is still in flight. */
  proxies(ids: Iterable<string>): void {
    for (const id of ids) this.client.publish(`alto.nudge.proxy.${id}`);
  }

  /** Whichever instance of compute holds the reconciler's lease. */
  reconciler(): void {
    this.client.publish(reconcilerNudge);
  }

  /** @returns a function that ends it */
  onReconcilerNudge(listener: () => void): () => void {
    const subscription = this.client.subscribe(reconcilerNudge, listener);
    return () => subscription.unsubscribe();
  }
}
