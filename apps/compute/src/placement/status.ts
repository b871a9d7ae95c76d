/** What an app is doing, in one state and one sentence. */
import { isLive, type InstanceState } from '../instances/instance.state';
import type { AppStatus, AppView } from './snapshot';
import { counted, listed } from './words';

/** An instance as far as the status of its app is concerned; new ones have no id yet. */
interface Member {
  readonly id?: string;
  readonly revision: string;
  readonly node: string | null;
  readonly state: InstanceState;
  readonly retiring: boolean;
  readonly reason: string;
}

export interface StatusRequest {
  readonly app: AppView;
  readonly instances: readonly Member[];
  readonly replaceLost: boolean;
}

export function statusOf({ app, instances, replaceLost }: StatusRequest): AppStatus {
  const live = instances.filter(isLive);
  const ready = live.filter(({ state }) => state === 'ready');
  const updated = ready.filter(({ revision }) => revision === app.target.id).length;
  const counts = { desired: app.replicas, ready: ready.length, updated };
  if (app.deleting) return { ...counts, state: 'deleting', reason: `${counted(instances.length, 'instance')} to end` };
  if (app.replicas === 0) {
    return instances.length === 0
      ? { ...counts, state: 'stopped', reason: 'replicas is 0' }
      : { ...counts, state: 'progressing', reason: `${counted(instances.length, 'instance')} to end` };
  }
  const outdated = live.filter(({ revision }) => revision !== app.target.id).length;
  if (updated >= app.replicas && outdated === 0) {
    return { ...counts, state: 'running', reason: allReady(app.replicas) };
  }
  const troubles = troublesOf(instances, replaceLost);
  const isShort = ready.length < app.replicas;
  return {
    ...counts,
    state: isShort && troubles.length > 0 ? 'degraded' : 'progressing',
    reason: [progressOf(app, counts), ...(troubles.length > 0 ? [listed(troubles, 2)] : [])].join('; '),
  };
}

function allReady(replicas: number): string {
  return replicas === 1 ? 'its replica is ready' : `all ${replicas} replicas are ready`;
}

function progressOf(app: AppView, { desired, updated }: Pick<AppStatus, 'desired' | 'updated'>): string {
  return `${updated} of ${counted(desired, 'replica')} ${updated === 1 ? 'is' : 'are'} ready at revision ${app.target.number}`;
}

/** Each trouble once, those that hold back everything first. */
function troublesOf(instances: readonly Member[], replaceLost: boolean): string[] {
  const inTrouble = instances.filter((instance) => !instance.retiring && isTrouble(instance));
  const told = inTrouble.map(({ id, state, reason }) => (state === 'pending' ? reason : `${id}: ${reason}`));
  if (!replaceLost) told.unshift('at least half of all nodes are lost, so nothing is replaced until they are back');
  return [...new Set(told)];
}

function isTrouble({ state, node }: Member): boolean {
  if (state === 'pending') return node === null;
  return state === 'unready' || state === 'backoff' || state === 'failed' || state === 'lost';
}
