/** Holds a change to what the caller's project may have. */
import { AltoError, quotaNames, type QuotaName } from '@alto/contracts';
import type { CallIdentity } from './call-context';

/** How much the project has now, and how much it would have. */
export interface QuotaChange {
  readonly before: number;
  readonly after: number;
}

/** Whether any of these is limited: without, nothing has to be locked nor counted. */
export function hasQuota(caller: CallIdentity, names: readonly QuotaName[]): boolean {
  return caller.kind === 'key' && names.some((name) => caller.quotas?.[name] !== undefined);
}

/**
 * Call it in the transaction of the change, with what was counted there under a lock of the project: only then do
 * requests at the same time never overshoot together. A project that has too much already, because its limit was
 * lowered, may still take less.
 * @throws AltoError `quota_exceeded` for the first limit that the change would break
 */
export function requireQuota(caller: CallIdentity, changes: Readonly<Partial<Record<QuotaName, QuotaChange>>>): void {
  if (caller.kind !== 'key') return;
  for (const quota of quotaNames) {
    const change = changes[quota];
    const limit = caller.quotas?.[quota];
    if (change === undefined || limit === undefined) continue;
    if (change.after <= limit || change.after <= change.before) continue;
    throw new AltoError('quota_exceeded', {
      message: `The project may have ${limit} ${quota}; it has ${change.before} and would have ${change.after}.`,
      nextStep: 'Remove what is no longer needed, or ask an operator for more (`alto quotas set`).',
      details: { quota, limit, used: change.before, wanted: change.after },
    });
  }
}
