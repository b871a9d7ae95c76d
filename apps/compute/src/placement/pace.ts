/** How a rollout's strategy and its phase bear on an app now: how many of each revision, and who gets the requests. */
import { advance, keepsOthers, type RolloutView, type Sight, wantedNow } from '../rollouts/rollout.state';
import { isLive } from '../instances/instance.state';
import { type Pace, surgeOf } from './rollout';
import type { AppView, InstanceView, RevisionView } from './snapshot';

/** What an app shall become, by its rollout. */
export interface Course {
  readonly rollout: RolloutView | null;
  readonly target: RevisionView;
  /** The revision that is kept up beside the target; null when none is. */
  readonly kept: RevisionView | null;
}

/** Looks at the rollout. Once it has failed, the good revision is the target again. */
export function courseOf(app: AppView, sightOf: (target: string) => Sight, now: number): Course {
  const { rollout, good, target } = app;
  if (rollout === null || app.deleting) return { rollout, target, kept: null };
  const next = advance(rollout, sightOf(target.id), now);
  const goesBack = next.phase === 'reverting' && good !== null;
  if (goesBack) return { rollout: next, target: good, kept: null };
  const keeps = (next.phase === 'running' && keepsOthers(next)) || isFrozen(next);
  return { rollout: next, target, kept: keeps ? good : null };
}

export function paceOf({ rollout, kept }: Course, replicas: number, targets: readonly InstanceView[]): Pace {
  const rolling = { targets: replicas, kept: null, surge: surgeOf(replicas) };
  if (rollout === null) return rolling;
  const surge = Math.max(1, surgeIn(rollout, replicas));
  const isMoving = rollout.phase === 'running';
  if (isFrozen(rollout)) return { targets: targets.filter(isLive).length, kept: kept?.id ?? null, surge };
  if (!isMoving || rollout.good === null) return { ...rolling, surge: isMoving ? surge : rolling.surge };
  return { targets: wantedNow(rollout, replicas), kept: kept?.id ?? null, surge };
}

/** Percent of requests for the target revision; null where every instance gets as much as any other. */
export function shareOf(rollout: RolloutView | null, targets: number, others: number, replicas: number): number | null {
  if (rollout === null) return null;
  // What has failed gets nothing more, as soon as the good revision can do without it.
  if (rollout.phase === 'reverting') return targets >= replicas ? 100 : null;
  const { strategy } = rollout.policy;
  if (rollout.phase !== 'running' && rollout.phase !== 'failed') return null;
  if (strategy.kind === 'blue-green') return rollout.step === 0 ? 0 : 100;
  if (strategy.kind !== 'canary') return null;
  const step = strategy.steps[rollout.step];
  if (step !== undefined) return step.weight;
  const reached = strategy.steps.at(-1)?.weight ?? 0;
  return (targets * 100) / Math.max(1, targets + others) >= reached ? null : reached;
}

/** It failed and may not go back: what is there stays, so that somebody can look at it. */
function isFrozen({ phase, good }: RolloutView): boolean {
  return phase === 'failed' && good !== null;
}

function surgeIn({ policy: { strategy } }: RolloutView, replicas: number): number {
  switch (strategy.kind) {
    case 'rolling':
      return Math.min(strategy.surge ?? surgeOf(replicas), replicas);
    case 'canary':
      return Math.max(surgeOf(replicas), ...strategy.steps.map(({ weight }) => Math.ceil((replicas * weight) / 100)));
    case 'blue-green':
      return replicas;
  }
}
