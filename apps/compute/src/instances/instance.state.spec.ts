import {
  type InstanceEvent,
  type InstanceState,
  isLive,
  type Observation,
  transition,
  wantsStopped,
} from './instance.state';

const states: InstanceState[] = [
  'pending',
  'starting',
  'ready',
  'unready',
  'backoff',
  'draining',
  'stopping',
  'stopped',
  'failed',
  'lost',
];
const observations: Observation[] = [
  'fetching',
  'starting',
  'running',
  'ready',
  'backoff',
  'stopping',
  'exited',
  'failed',
  'absent',
];

const observe = (state: InstanceState, as: Observation, retiring = false) =>
  transition(state, { kind: 'observed', as, retiring });

describe('the life of an instance', () => {
  it('goes from pending over starting to ready and back', () => {
    expect(observe('pending', 'fetching')).toBe('starting');
    expect(observe('starting', 'running')).toBe('starting');
    expect(observe('starting', 'ready')).toBe('ready');
    expect(observe('ready', 'running')).toBe('unready');
    expect(observe('unready', 'ready')).toBe('ready');
    expect(observe('ready', 'backoff')).toBe('backoff');
    expect(observe('backoff', 'running')).toBe('starting');
    expect(observe('starting', 'failed')).toBe('failed');
  });

  it('ends over draining and stopping', () => {
    expect(transition('ready', { kind: 'drain' })).toBe('draining');
    expect(observe('draining', 'ready')).toBe('draining');
    expect(transition('draining', { kind: 'drained' })).toBe('stopping');
    expect(observe('stopping', 'ready')).toBe('stopping');
    expect(observe('stopping', 'stopping')).toBe('stopping');
    expect(observe('stopping', 'exited')).toBe('stopped');
    expect(transition('starting', { kind: 'stop' })).toBe('stopping');
  });

  it('is lost with its node and comes back as its agent says, or goes on draining where it was retired', () => {
    expect(transition('ready', { kind: 'node_lost' })).toBe('lost');
    expect(observe('lost', 'ready')).toBe('ready');
    expect(observe('lost', 'ready', true)).toBe('draining');
    expect(observe('lost', 'absent', true)).toBe('stopped');
    expect(transition('lost', { kind: 'stop' })).toBe('lost');
  });

  it('keeps its promises for every state and event', () => {
    const events: InstanceEvent[] = [
      ...observations.flatMap((as) => [true, false].map((retiring) => ({ kind: 'observed', as, retiring }) as const)),
      { kind: 'node_lost' },
      { kind: 'stop' },
      { kind: 'drain' },
      { kind: 'drained' },
    ];
    for (const state of states) {
      for (const event of events) {
        const next = transition(state, event);
        expect(states).toContain(next);
        if (state === 'stopped') expect(next).toBe('stopped');
        if (state === 'stopping') expect(['stopping', 'stopped', 'lost']).toContain(next);
        if (event.kind === 'observed' && event.as === 'ready' && !wantsStopped(state))
          expect(next).not.toBe('stopping');
        // A running process is never declared gone.
        if (event.kind !== 'observed' || !['exited', 'failed', 'absent'].includes(event.as)) {
          if (state !== 'stopped') expect(next).not.toBe('stopped');
        }
      }
    }
  });

  it('knows what is part of an app and what its agent shall end', () => {
    expect(states.filter((state) => isLive({ state, retiring: false }))).toEqual([
      'pending',
      'starting',
      'ready',
      'unready',
      'backoff',
      'failed',
    ]);
    expect(isLive({ state: 'ready', retiring: true })).toBe(false);
    expect(states.filter(wantsStopped)).toEqual(['stopping', 'stopped']);
  });
});
