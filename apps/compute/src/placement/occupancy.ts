/** What is taken on each machine. It grows while a plan is made, so that one plan does not give the same room twice. */
import type { InstanceView, NodeView, Resources, RevisionView, Snapshot } from './snapshot';

export interface NodeUse {
  readonly node: NodeView;
  cpuMillis: number;
  memoryBytes: number;
  instances: number;
  /** Size of the instructions to its agent. */
  setBytes: number;
  /** Instances of each app, by app id. */
  readonly byApp: Map<string, number>;
  /** Given-up instances of each revision, by revision id. */
  readonly failures: Map<string, number>;
}

export type Occupancy = ReadonlyMap<string, NodeUse>;

export function occupancyOf(snapshot: Pick<Snapshot, 'nodes' | 'instances' | 'revisions'>): Occupancy {
  const occupancy = new Map(snapshot.nodes.map((node) => [node.id, emptyUse(node)]));
  for (const instance of snapshot.instances) {
    const use = instance.node === null ? undefined : occupancy.get(instance.node);
    const revision = snapshot.revisions.get(instance.revision);
    if (use === undefined || revision === undefined) continue;
    take(use, instance.app, revision);
    if (instance.state === 'failed') increment(use.failures, instance.revision);
  }
  return occupancy;
}

/** Counts one more instance on the machine. */
export function take(use: NodeUse, app: string, revision: RevisionView): void {
  use.cpuMillis += revision.resources.cpuMillis;
  use.memoryBytes += revision.resources.memoryBytes;
  use.instances += 1;
  use.setBytes += revision.setBytes;
  increment(use.byApp, app);
}

export function free(use: NodeUse): Resources {
  return {
    cpuMillis: use.node.capacity.cpuMillis - use.cpuMillis,
    memoryBytes: use.node.capacity.memoryBytes - use.memoryBytes,
  };
}

/** `node` stands for the machine's name, so that each is a value of its own. */
export function labelOf({ name, labels }: NodeView, label: string): string | undefined {
  return label === 'node' ? name : labels[label];
}

/** Instances that share a machine, by machine: used to retire from the most crowded one first. */
export function crowding(instances: readonly InstanceView[]): ReadonlyMap<string, number> {
  const crowd = new Map<string, number>();
  for (const { node } of instances) if (node !== null) increment(crowd, node);
  return crowd;
}

function emptyUse(node: NodeView): NodeUse {
  return { node, cpuMillis: 0, memoryBytes: 0, instances: 0, setBytes: 0, byApp: new Map(), failures: new Map() };
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
