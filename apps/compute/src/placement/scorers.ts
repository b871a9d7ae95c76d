/** Scorers rank the machines that may take an instance; the first one that tells two apart decides. */
import { sandboxLabel } from '@alto/contracts';
import { free, labelOf, type NodeUse, type Occupancy } from './occupancy';
import type { RevisionView } from './snapshot';

export interface Placing {
  readonly app: string;
  readonly revision: RevisionView;
}

/** The lower, the better. */
export type Scorer = (use: NodeUse, placing: Placing, occupancy: Occupancy) => number;

/** A machine that starts no app is the last choice. Where there is no other, its agent says what to do about it. */
export const startsNothing: Scorer = ({ node }) => (labelOf(node, sandboxLabel.name) === sandboxLabel.missing ? 1 : 0);

/** A machine on which this very version was given up is the last choice for it. */
export const failedHere: Scorer = (use, { revision }) => use.failures.get(revision.id) ?? 0;

/** Instances keep apart by the label that their app names: a zone, say, or a rack. */
export const spreadByLabel: Scorer = ({ node }, { app, revision }, occupancy) => {
  if (revision.spread === 'node') return 0;
  const value = labelOf(node, revision.spread);
  const alike = [...occupancy.values()].filter((other) => labelOf(other.node, revision.spread) === value);
  return alike.reduce((sum, { byApp }) => sum + (byApp.get(app) ?? 0), 0);
};

/** Instances of an app keep apart, so that the loss of a machine takes few of them. */
export const spread: Scorer = (use, { app }) => use.byApp.get(app) ?? 0;

/** Then the machine that stays emptiest, by its scarcer resource. In steps, so that noise does not decide. */
export const leastLoaded: Scorer = (use, { revision }) => {
  const { cpuMillis, memoryBytes } = free(use);
  const cpuLeft = (cpuMillis - revision.resources.cpuMillis) / use.node.capacity.cpuMillis;
  const memoryLeft = (memoryBytes - revision.resources.memoryBytes) / use.node.capacity.memoryBytes;
  return -Math.round(Math.min(cpuLeft, memoryLeft) * 100);
};

export const scorers: readonly Scorer[] = [startsNothing, failedHere, spreadByLabel, spread, leastLoaded];
