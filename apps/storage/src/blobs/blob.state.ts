/**
 * The life of a blob's row. The row comes before the first byte of the file and goes after the last:
 *
 *     intent ──commit──▶ live ──replaced──▶ condemned ──file removed──▶ (no row)
 *        └──expired or given up──────────────▲
 *
 * - intent: bytes may be arriving. Nobody may read it. Its lease is renewed while they do.
 * - live: the file is whole and durable; something refers to it.
 * - condemned: nothing refers to it and nothing will. Only a condemned blob's file may be removed.
 */
export const blobStates = ['intent', 'live', 'condemned'] as const;
export type BlobState = (typeof blobStates)[number];
export type BlobChange = 'commit' | 'expire' | 'give up' | 'replace';

const transitions: Readonly<Record<BlobState, Partial<Record<BlobChange, BlobState>>>> = {
  intent: { commit: 'live', expire: 'condemned', 'give up': 'condemned' },
  live: { replace: 'condemned' },
  condemned: {},
};

/** The state after a change; undefined where the change is not possible. */
export function transition(state: BlobState, change: BlobChange): BlobState | undefined {
  return transitions[state][change];
}
