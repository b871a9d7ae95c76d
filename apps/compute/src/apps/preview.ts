/** What a change of an app would do, in words, before anything is done. Pure. */
import type { AppPlan, AppSpec } from '@alto/contracts';
import { surgeOf } from '../placement/rollout';
import { counted } from '../placement/words';
import { canonical } from '../revisions/content';
import { type Checks, defaultChecks } from '../rollouts/error-rate';
import { type RolloutPolicy, wantedNow } from '../rollouts/rollout.state';

export interface Change {
  /** Null for an app that does not exist yet. */
  readonly before: AppSpec | null;
  readonly after: AppSpec;
  readonly revision: number;
  readonly newRevision: boolean;
  /** Null when no rollout would begin. */
  readonly policy: RolloutPolicy | null;
  /** Revision that a failed rollout would go back to. */
  readonly good: number | null;
}

/** @param refusals why new instances would find no machine now, one for each that would not */
export function previewOf(change: Change, refusals: readonly string[]): AppPlan {
  const { before, after, revision, newRevision, policy } = change;
  const steps = [
    ...revisionSteps(change),
    ...scaleSteps(before, after),
    ...refusalSteps(refusals, newInstances(change)),
  ];
  return {
    changes: changedFields(before, after),
    revision,
    newRevision,
    rollout: policy?.strategy.kind ?? null,
    steps: steps.length === 0 ? ['nothing changes'] : steps,
  };
}

/** Instances that need a machine before any old one has left its own. */
export function newInstances({ before, after, policy, good }: Change): number {
  if (policy === null) return Math.max(0, after.replicas - (before?.replicas ?? 0));
  if (good === null || after.replicas === 0) return after.replicas;
  const { strategy } = policy;
  switch (strategy.kind) {
    case 'blue-green':
      return after.replicas;
    case 'rolling':
      return Math.min(after.replicas, strategy.surge ?? surgeOf(after.replicas));
    case 'canary':
      return Math.max(...strategy.steps.map((_, step) => wantedNow({ policy, step }, after.replicas)));
  }
}

/** What could be placed is not told; why something could not be, once. */
function refusalSteps(refusals: readonly string[], count: number): string[] {
  if (refusals.length === 0) return [];
  const who = count === 1 ? 'its new instance finds' : `${refusals.length} of ${count} new instances find`;
  return [`as things stand ${who} no place and would wait: ${[...new Set(refusals)].join('; ')}`];
}

function changedFields(before: AppSpec | null, after: AppSpec): string[] {
  const fields = Object.keys(after) as (keyof AppSpec)[];
  return fields.filter((field) => before === null || canonical(before[field]) !== canonical(after[field])).sort();
}

function revisionSteps({ after, revision, newRevision, policy, good }: Change): string[] {
  if (policy === null) return [];
  const made = newRevision ? `revision ${revision} is made` : `revision ${revision} exists already and is taken again`;
  if (after.replicas === 0) return [made];
  const back = good === null ? 'there is no revision to go back to' : `it goes back to revision ${good}`;
  const failing = policy.autoRevert || good === null ? back : 'it stops and stays as it is';
  return [made, ...strategySteps(policy, after.replicas, good), `if it fails, ${failing}`];
}

function strategySteps(policy: RolloutPolicy, replicas: number, good: number | null): string[] {
  const { strategy, healthyMs } = policy;
  if (good === null) return [`${counted(replicas, 'instance')} of it are started`];
  const healthy = `healthy for ${healthyMs / 1000} s`;
  if (strategy.kind === 'blue-green')
    return [
      `${counted(replicas, 'instance')} of it are started beside the old ones`,
      `once all are ${healthy}, requests are switched to them at once`,
      `once they have been ${healthy} with all requests, the old ones end`,
    ];
  const surge = strategy.kind === 'rolling' ? (strategy.surge ?? surgeOf(replicas)) : surgeOf(replicas);
  const rest = `old instances are replaced, ${surge} at a time, each once its successor has been ${healthy}`;
  if (strategy.kind === 'rolling') return [rest];
  const canaries = strategy.steps.map(({ weight, holdMs }, step) => {
    const instances = counted(wantedNow({ policy, step }, replicas), 'instance');
    return `${instances} of it get ${weight} % of the requests for ${holdMs / 1000} s`;
  });
  return [...canaries, checked(strategy.checks ?? defaultChecks, good), rest];
}

function checked({ errorRatePercentMax, requestsMin }: Checks, good: number): string {
  const than = `${errorRatePercentMax} percentage points more of its requests than revision ${good}`;
  return `it has failed if it fails ${than}, judged from ${counted(requestsMin, 'request')} on`;
}

function scaleSteps(before: AppSpec | null, after: AppSpec): string[] {
  if (before === null || before.replicas === after.replicas) return [];
  return [`replicas go from ${before.replicas} to ${after.replicas}`];
}
