/** An app as users are shown it, and what they are told when there is none. */
import { AltoError, type App, type AppSpec, computeEvents, newId } from '@alto/contracts';
import type { AppStatus } from '../placement/snapshot';
import { rolloutStatusOf } from '../placement/status';
import type { RolloutView } from '../rollouts/rollout.state';
import type { AppEntity } from './app.entity';

export function appOf(row: AppEntity): App {
  return {
    id: row.id,
    project: row.project,
    name: row.name,
    spec: row.spec,
    revision: row.revisionNumber,
    version: row.version,
    // Written by a version that knew no rollouts it has none.
    status: { ...row.status, rollout: rolloutOf(row.status) },
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

export type NewApp = Pick<AppEntity, 'project' | 'projectName' | 'name'>;

/** An app as it is before anything of it has been done; its revision is yet to be made. */
export function unborn(facts: NewApp, spec: AppSpec, nowMs: number): AppEntity {
  const at = new Date(nowMs);
  return {
    id: newId('app', nowMs),
    ...facts,
    spec,
    replicas: spec.replicas,
    revision: newId('revision', nowMs),
    revisionNumber: 1,
    goodRevision: null,
    rollout: null,
    version: 1,
    deleting: false,
    status: plannedStatus(spec, { ready: 0 }, null),
    createdAt: at,
    updatedAt: at,
  };
}

/** Entering a state that lasts is an event. */
export const statusEvents = {
  running: computeEvents.appReady,
  degraded: computeEvents.appDegraded,
  rolled_back: computeEvents.appRolledBack,
  progressing: undefined,
  stopped: undefined,
  deleting: undefined,
} as const;

/** Until the reconciler has looked: never what was true of the specification before. */
export function plannedStatus(
  spec: AppSpec,
  before: Pick<AppStatus, 'ready'> & Partial<AppStatus>,
  begun: RolloutView | null,
): AppStatus {
  const rollout = begun === null ? (before.rollout ?? null) : rolloutStatusOf(begun);
  const counts = { desired: spec.replicas, ready: before.ready, updated: 0, rollout };
  return { ...counts, state: 'progressing', reason: 'what to do about the change is about to be decided' };
}

function rolloutOf({ rollout }: Partial<AppStatus>): App['status']['rollout'] {
  return rollout ? { ...rollout, lastLogLines: [...rollout.lastLogLines] } : null;
}

export function unknownRevision(number: number | null): AltoError {
  const message =
    number === null ? 'There is no revision before the current one.' : `to: there is no revision ${number}`;
  return new AltoError('unprocessable', {
    message,
    ...(number !== null && { field: 'to' }),
    nextStep: 'List the revisions that are kept with GET …/revisions.',
  });
}

export function unknownApp(name: string): AltoError {
  return new AltoError('not_found', `The project has no app ${name}.`);
}
