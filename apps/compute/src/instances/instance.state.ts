/**
 * Life of an instance. Observations come from the agent, decisions from the reconciler.
 *
 *   pending ──► starting ──► ready ⇄ unready        (agent: found, can serve, cannot serve)
 *      │           │  ▲        │        │
 *      │           ▼  │        │        │
 *      │        backoff ◄──────┴────────┘           (agent: it ended and is started again after a while)
 *      │           │
 *      │           ▼
 *      │        failed                              (agent: given up; held for a while, then retired)
 *      │           │
 *      │           ▼  retire
 *      ├──────► draining ──► stopping ──► stopped   (proxies let go, then the agent ends it, then it is gone)
 *      └──────────────────────► ▲
 *
 *   any but stopped ──► lost                        (its machine is not heard of; it may still serve)
 *   lost ──► what the agent says once it is heard again, `draining` where it was retired meanwhile
 *
 * Callers may rely on: `draining` is the only way from an announced address to `stopping`; the agent is told to
 * stop an instance only in `stopping`; an address belongs to its instance until `stopped`.
 */

export type InstanceState =
  'pending' | 'starting' | 'ready' | 'unready' | 'backoff' | 'draining' | 'stopping' | 'stopped' | 'failed' | 'lost';

/** What an agent says of an instance; `absent`: it has read the set that names the instance and does not have it. */
export type Observation =
  'fetching' | 'starting' | 'running' | 'ready' | 'backoff' | 'stopping' | 'exited' | 'failed' | 'absent';

export type InstanceEvent =
  | { readonly kind: 'observed'; readonly as: Observation; readonly retiring: boolean }
  | { readonly kind: 'node_lost' }
  /** The reconciler wants it gone and no proxy has ever known its address. */
  | { readonly kind: 'stop' }
  /** The reconciler wants it gone; proxies may know its address. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'drained' };

const whileWanted: Readonly<Record<Observation, InstanceState>> = {
  fetching: 'starting',
  starting: 'starting',
  running: 'unready',
  ready: 'ready',
  backoff: 'backoff',
  stopping: 'unready',
  exited: 'backoff',
  failed: 'failed',
  absent: 'starting',
};

const whileDraining: Readonly<Record<Observation, InstanceState>> = {
  fetching: 'stopping',
  starting: 'stopping',
  running: 'draining',
  ready: 'draining',
  backoff: 'stopping',
  stopping: 'stopping',
  exited: 'stopping',
  failed: 'stopping',
  absent: 'stopped',
};

const whileStopping: Readonly<Record<Observation, InstanceState>> = {
  fetching: 'stopping',
  starting: 'stopping',
  running: 'stopping',
  ready: 'stopping',
  backoff: 'stopping',
  stopping: 'stopping',
  exited: 'stopped',
  failed: 'stopped',
  absent: 'stopped',
};

/** States from which the agent's word alone decides the next one. */
const wanted: readonly InstanceState[] = ['pending', 'starting', 'ready', 'unready', 'backoff', 'failed'];

/** The state that follows; the same one where the event changes nothing. */
export function transition(state: InstanceState, event: InstanceEvent): InstanceState {
  if (state === 'stopped') return 'stopped';
  switch (event.kind) {
    case 'observed':
      return observed(state, event.as, event.retiring);
    case 'node_lost':
      return 'lost';
    case 'stop':
      return state === 'lost' ? 'lost' : 'stopping';
    case 'drain':
      return state === 'lost' || state === 'stopping' ? state : 'draining';
    case 'drained':
      return state === 'draining' ? 'stopping' : state;
  }
}

function observed(state: InstanceState, as: Observation, retiring: boolean): InstanceState {
  if (state === 'stopping') return whileStopping[as];
  if (state === 'draining') return whileDraining[as];
  if (state === 'lost' && retiring) return whileDraining[as];
  if (as === 'running' && (state === 'pending' || state === 'starting' || state === 'backoff')) return 'starting';
  return wanted.includes(state) || state === 'lost' ? whileWanted[as] : state;
}

/** The agent is told to end it. */
export function wantsStopped(state: InstanceState): boolean {
  return state === 'stopping' || state === 'stopped';
}

/** Part of the app: neither on its way out nor on a machine that is not heard of. */
export function isLive(instance: { readonly state: InstanceState; readonly retiring: boolean }): boolean {
  return !instance.retiring && wanted.includes(instance.state);
}
