/** Filters say which machines cannot take an instance, and why in words. Adding one is adding a function to the list. */
import { free, labelOf, type NodeUse } from './occupancy';
import type { RevisionView } from './snapshot';
import { bytesInWords, cpuInWords } from './words';

export const instancesPerNodeMax = 1_000;
/** An agent's instructions are one NATS message, which must stay below the server's 1 MB. */
export const setBytesMax = 700_000;

export interface Refusal {
  /** What no machine has, e.g. `2 GiB free`: begins the sentence when every machine refuses alike. */
  readonly lacks: string;
  /** What this machine has instead, e.g. `512 MiB free`. */
  readonly has: string;
}

/** Null when the machine may take the instance. */
export type Filter = (use: NodeUse, revision: RevisionView) => Refusal | null;

export const isReady: Filter = ({ node }) =>
  node.state === 'ready'
    ? null
    : { lacks: 'a healthy agent', has: node.state === 'lost' ? 'is lost' : 'is not answering' };

export const isOpen: Filter = ({ node }) =>
  node.intake === 'open'
    ? null
    : {
        lacks: 'an agent that takes new instances',
        has: node.intake === 'cordoned' ? 'is cordoned' : 'is being drained',
      };

export const meetsConstraints: Filter = ({ node }, { constraints }) => {
  const unmet = constraints.find(({ label, equals }) => labelOf(node, label) !== equals);
  if (unmet === undefined) return null;
  const has = labelOf(node, unmet.label);
  return { lacks: `${unmet.label} = ${unmet.equals}`, has: has === undefined ? `has no ${unmet.label}` : `has ${has}` };
};

export const hasMemory: Filter = (use, { resources }) =>
  free(use).memoryBytes >= resources.memoryBytes
    ? null
    : {
        lacks: `${bytesInWords(resources.memoryBytes)} of memory free`,
        has: `has ${bytesInWords(free(use).memoryBytes)}`,
      };

export const hasCpu: Filter = (use, { resources }) =>
  free(use).cpuMillis >= resources.cpuMillis
    ? null
    : { lacks: `${cpuInWords(resources.cpuMillis)} free`, has: `has ${cpuInWords(free(use).cpuMillis)}` };

export const hasRoomForInstructions: Filter = (use, { setBytes }) =>
  use.instances < instancesPerNodeMax && use.setBytes + setBytes <= setBytesMax
    ? null
    : { lacks: 'room for the instructions of another instance', has: `runs ${use.instances}` };

export const filters: readonly Filter[] = [
  isReady,
  isOpen,
  meetsConstraints,
  hasMemory,
  hasCpu,
  hasRoomForInstructions,
];
