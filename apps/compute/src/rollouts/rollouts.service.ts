/** Rollouts as rows: begun by a change of an app, moved on by the reconciler, kept for a while as history. */
import { Injectable } from '@nestjs/common';
import { AltoError, type AppSpec, newId, type Rollout } from '@alto/contracts';
import { Clock } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { decodeCursor, pageOfRows } from '../cursors';
import { rolloutStatusOf } from '../placement/status';
import type { RolloutEntity } from './rollout.entity';
import { isOver, notBegun, type Progress, type RolloutPolicy, type RolloutView } from './rollout.state';
import { RolloutsStore } from './rollouts.store';
import { TrafficService } from './traffic.service';

/** Rollouts of an app that can be looked at. */
export const rolloutsKept = 20;

export interface NewRollout {
  readonly app: string;
  readonly to: { readonly id: string; readonly number: number };
  /** Number of the revision that the app comes from; null for its first. */
  readonly fromNumber: number | null;
  readonly good: { readonly id: string; readonly number: number } | null;
  readonly policy: RolloutPolicy;
}

@Injectable()
export class RolloutsService {
  constructor(
    private readonly store: RolloutsStore,
    private readonly traffic: TrafficService,
    private readonly clock: Clock,
  ) {}

  /** Begins a rollout in place of the app's newest one, stuck or not. The caller has locked the app's row. */
  async begin(
    transaction: EntityManager,
    { app, to, fromNumber, good, policy }: NewRollout,
    before: string | null,
  ): Promise<RolloutView> {
    const [last] = before === null ? [] : await this.store.byIds(transaction, [before]);
    if (last !== undefined && !isOver(last.progress)) {
      const reason = `revision ${to.number} has taken its place`;
      await this.store.save(transaction, {
        ...last,
        progress: { ...last.progress, phase: 'superseded', reason },
        endedAt: this.clock.now(),
      });
      await this.traffic.forget(transaction, last.id);
    }
    const progress: Progress = {
      ...notBegun,
      policy,
      to: to.id,
      toNumber: to.number,
      fromNumber,
      good: good?.id ?? null,
      goodNumber: good?.number ?? null,
      reason: 'about to begin',
    };
    const nowMs = this.clock.nowMs();
    const number = (last?.number ?? 0) + 1;
    const rollout = { id: newId('rollout', nowMs), app, number, progress, startedAt: new Date(nowMs), endedAt: null };
    await this.store.insert(transaction, rollout);
    await this.store.removeBelow(transaction, app, number - rolloutsKept + 1);
    return viewOf(rollout);
  }

  /** Lets a running rollout go on as the specification says now. */
  async adjust(transaction: EntityManager, id: string, spec: AppSpec): Promise<void> {
    const [rollout] = await this.store.byIds(transaction, [id]);
    if (rollout === undefined || rollout.progress.phase !== 'running') return;
    const policy = policyOf(spec, rollout.progress.good !== null);
    // Steps are counted: those of another strategy begin anew.
    const isSame = rollout.progress.policy.strategy.kind === policy.strategy.kind;
    const position = isSame ? {} : { step: 0, stepAt: null, awaited: null };
    await this.store.save(transaction, { ...rollout, progress: { ...rollout.progress, ...position, policy } });
  }

  async record(transaction: EntityManager, { id, number: _number, ...progress }: RolloutView): Promise<void> {
    const [rollout] = await this.store.byIds(transaction, [id]);
    if (rollout === undefined) return;
    const endedAt = isOver(progress) ? (rollout.endedAt ?? this.clock.now()) : null;
    await this.store.save(transaction, { ...rollout, progress, endedAt });
    if (progress.phase !== 'running') await this.traffic.forget(transaction, id);
  }

  /** By id. */
  async views(manager: EntityManager, ids: readonly string[]): Promise<Map<string, RolloutView>> {
    const rollouts = await this.store.byIds(manager, ids);
    return new Map(rollouts.map((rollout) => [rollout.id, viewOf(rollout)]));
  }

  async list(
    manager: EntityManager,
    app: string,
    { limit, cursor }: { limit: number; cursor?: string | undefined },
  ): Promise<{ items: Rollout[]; nextCursor?: string }> {
    const rows = await this.store.page(manager, app, decodeCursor(cursor, 'number'), limit + 1);
    return pageOfRows(rows, limit, rolloutOf, ({ number }) => number);
  }

  async get(manager: EntityManager, app: string, number: number): Promise<Rollout> {
    const row = await this.store.byNumber(manager, app, number);
    if (row === null) {
      const nextStep = `The newest ${rolloutsKept} are kept: list them with GET …/rollouts.`;
      throw new AltoError('not_found', { message: `The app has no rollout ${number}.`, nextStep });
    }
    return rolloutOf(row);
  }

  removeAllOf(transaction: EntityManager, app: string): Promise<void> {
    return this.store.removeAllOf(transaction, app);
  }
}

/** @param replaces false where nothing serves that a new revision could be compared with or kept beside */
export function policyOf(spec: AppSpec, replaces: boolean): RolloutPolicy {
  const { strategy, healthyMs, progressDeadlineMs, autoRevert, readiness } = spec;
  return {
    strategy: replaces || strategy.kind === 'rolling' ? strategy : { kind: 'rolling' },
    healthyMs,
    progressDeadlineMs,
    autoRevert,
    readyWithinMs: readiness.deadlineMs,
  };
}

/** Written by a version that counted no requests it has none of what is counted. */
function viewOf({ id, number, progress }: RolloutEntity): RolloutView {
  return { ...notBegun, id, number, ...progress };
}

function rolloutOf(row: RolloutEntity): Rollout {
  const { lastLogLines, ...told } = rolloutStatusOf(viewOf(row));
  return {
    ...told,
    lastLogLines: [...lastLogLines],
    startedAt: row.startedAt.toISOString(),
    endedAt: row.endedAt?.toISOString() ?? null,
  };
}
