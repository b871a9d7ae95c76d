import type { Output } from '../output';
import type { AgentStatus } from './agent';

/** Why this machine starts no app and what to do; undefined where it does. */
export function refusalOf({ sandbox }: AgentStatus): string | undefined {
  return sandbox?.refusal ?? undefined;
}

/** Alto itself runs all the same. @param undone what was asked for in one go with its start */
export function warnOfRefusal(output: Output, status: AgentStatus, undone?: string): void {
  const refusal = refusalOf(status);
  if (refusal === undefined) return;
  output.warning(output.paint('yellow', [refusal, ...(undone === undefined ? [] : [undone])].join('\n')));
}
