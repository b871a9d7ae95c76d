/**
 * Plans by time that has passed, whatever the clock was set to meanwhile. What a snapshot and a plan say of time is the
 * clock's; between the two, stretches that the clock was set forward over are taken out, so that nobody has waited
 * through them.
 */
import type { RolloutView } from '../rollouts/rollout.state';
import { type AppPlan, plan, type Plan } from './planner';
import type { ClockSkip, InstanceView, PlanLimits, Snapshot } from './snapshot';

export function planByPassedTime(snapshot: Snapshot, limits: PlanLimits, now: number): Plan {
  const time = new PassedTime(snapshot.clockSkips, now);
  const seen: Snapshot = {
    ...snapshot,
    apps: snapshot.apps.map((app) => ({ ...app, rollout: rolloutIn(app.rollout, time.passedAt) })),
    instances: snapshot.instances.map((instance) => instanceIn(instance, time.passedAt, limits)),
  };
  const made = plan(seen, limits, time.passedAt(now));
  return {
    ...made,
    apps: made.apps.map((appPlan) => onTheClock(appPlan, time, limits)),
    wakeAt: made.wakeAt === null ? null : time.clockAt(made.wakeAt),
  };
}

/** Two scales of Unix milliseconds that are the same up to the first skip. */
export class PassedTime {
  private readonly skips: readonly ClockSkip[];

  /** @param skips in any order, also overlapping; one that ends after `now` is undone: the clock was set back since */
  constructor(skips: readonly ClockSkip[], now: number) {
    this.skips = merged(skips.filter(({ until }) => until <= now));
  }

  readonly passedAt = (clock: number): number =>
    this.skips.reduce((passed, { from, until }) => passed - Math.max(0, Math.min(clock, until) - from), clock);

  /** Where the clock showed several moments for the one, the first of them. */
  readonly clockAt = (passed: number): number =>
    this.skips.reduce((clock, { from, until }) => (clock > from ? clock + until - from : clock), passed);
}

function merged(skips: readonly ClockSkip[]): ClockSkip[] {
  const ordered = [...skips].sort((a, b) => a.from - b.from);
  return ordered.reduce<ClockSkip[]>((apart, skip) => {
    const last = apart.at(-1);
    if (last === undefined || skip.from > last.until) return [...apart, skip];
    return [...apart.slice(0, -1), { from: last.from, until: Math.max(last.until, skip.until) }];
  }, []);
}

type Scale = (moment: number) => number;

function onTheClock(made: AppPlan, { clockAt }: PassedTime, limits: PlanLimits): AppPlan {
  const back = (instance: InstanceView) => instanceIn(instance, clockAt, limits);
  return {
    ...made,
    app: { ...made.app, rollout: rolloutIn(made.app.rollout, clockAt) },
    change: made.change.map((change) => ({ ...change, before: back(change.before), after: back(change.after) })),
    remove: made.remove.map(back),
    rollout: rolloutIn(made.rollout, clockAt),
  };
}

/** The end of a drain lies ahead: it goes with the moment at which the drain began. */
function instanceIn(instance: InstanceView, scale: Scale, { drainMs }: PlanLimits): InstanceView {
  const { availableAt, createdAt, stateAt, drainUntil } = instance;
  return {
    ...instance,
    availableAt: availableAt === null ? null : scale(availableAt),
    createdAt: scale(createdAt),
    stateAt: scale(stateAt),
    drainUntil: drainUntil === null ? null : scale(drainUntil - drainMs) + drainMs,
  };
}

function rolloutIn(rollout: RolloutView | null, scale: Scale): RolloutView | null {
  if (rollout === null) return null;
  const { begunAt, progressAt, stepAt } = rollout;
  return {
    ...rollout,
    begunAt: begunAt === null ? null : scale(begunAt),
    progressAt: progressAt === null ? null : scale(progressAt),
    stepAt: stepAt === null ? null : scale(stepAt),
  };
}
