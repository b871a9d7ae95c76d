/** What an app is doing, in one state and one sentence. */
import { isLive, type InstanceState } from '../instances/instance.state';
import type { AppStatus, AppView } from './snapshot';
import { counted } from './words';

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
    reason: [progressOf(app, counts), ...troubles.slice(0, 3)].join('; '),
  };
}

function allReady(replicas: number): string {
  return replicas === 1 ? 'its replica is ready' : `all ${replicas} replicas are ready`;
}

function progressOf(app: AppView, { desired, updated }: Pick<AppStatus, 'desired' | 'updated'>): string {
  return `${updated} of ${counted(desired, 'replica')} ready at revision ${app.target.number}`;
}

/** Each trouble once with how many have it: what holds back everything first, then what a person can do something about. */
function troublesOf(instances: readonly Member[], replaceLost: boolean): string[] {
  const inTrouble = instances.filter((instance) => !instance.retiring && isTrouble(instance));
  const unplaced = inTrouble.filter(({ state }) => state === 'pending').map(({ reason }) => reason);
  const placed = Map.groupBy(
    inTrouble.filter(({ state }) => state !== 'pending'),
    ({ reason }) => reason,
  );
  const told = [...placed].map(([reason, members]) => `${namesOf(members)}: ${reason}`);
  const massLoss = 'at least half of all nodes are lost, so nothing is replaced until they are back';
  return [...(replaceLost ? [] : [massLoss]), ...new Set(unplaced), ...told];
}

function namesOf(members: readonly Member[]): string {
  return members.length === 1 ? (members[0]?.id ?? 'an instance') : counted(members.length, 'instance');
}

function isTrouble({ state, node }: Member): boolean {
  if (state === 'pending') return node === null;
  return state === 'unready' || state === 'backoff' || state === 'failed' || state === 'lost';
}
