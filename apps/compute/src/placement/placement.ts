/** Chooses a machine for one instance, or says in words why there is none. */
import { filters, type Refusal } from './filters';
import { take, type NodeUse, type Occupancy } from './occupancy';
import { scorers, type Placing } from './scorers';
import { listed } from './words';

export type Placed = { readonly node: string } | { readonly node: null; readonly reason: string };

/** Takes the room on the chosen machine, so that the next call sees it taken. */
export function place(occupancy: Occupancy, placing: Placing): Placed {
  const refusals: { use: NodeUse; refusal: Refusal }[] = [];
  let best: { use: NodeUse; scores: number[] } | null = null;
  for (const use of occupancy.values()) {
    const refusal = refusalOf(use, placing);
    if (refusal !== null) {
      refusals.push({ use, refusal });
      continue;
    }
    const scores = scorers.map((score) => score(use, placing, occupancy));
    if (best === null || isBetter(scores, use, best)) best = { use, scores };
  }
  if (best === null) return { node: null, reason: unplacedReason(refusals) };
  take(best.use, placing.app, placing.revision);
  return { node: best.use.node.id };
}

function refusalOf(use: NodeUse, { revision }: Placing): Refusal | null {
  for (const filter of filters) {
    const refusal = filter(use, revision);
    if (refusal !== null) return refusal;
  }
  return null;
}

function isBetter(scores: number[], use: NodeUse, best: { use: NodeUse; scores: number[] }): boolean {
  for (const [index, score] of scores.entries()) {
    const other = best.scores[index] ?? 0;
    if (score !== other) return score < other;
  }
  return use.node.id < best.use.node.id;
}

/** `no node has 2 GiB of memory free: node-a has 512 MiB, node-b is lost`. */
function unplacedReason(refusals: { use: NodeUse; refusal: Refusal }[]): string {
  if (refusals.length === 0) return 'no node has joined yet: start an agent with `alto up` or `alto join`';
  // What every machine may lack says little beside what this very revision wants.
  const general = ['a healthy agent', 'an agent that takes new instances'];
  const all = [...new Set(refusals.map(({ refusal }) => refusal.lacks))];
  const lacks = all.filter((lack) => !general.includes(lack));
  const wanted = (lacks.length === 0 ? all : lacks).join(' or ');
  const each = refusals.map(({ use, refusal }) => `${use.node.name} ${refusal.has}`);
  return `no node has ${wanted}: ${listed(each)}`;
}
