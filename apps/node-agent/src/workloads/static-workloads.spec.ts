import { createLog, SystemClock } from '@alto/platform';
import { eventually } from '@alto/testing';
import { scriptedCommand, ScriptedRuntime, type ScriptedBehaviour } from '../runtime/scripted-runtime';
import type { Replacement } from './replacement.state';
import { StaticWorkloads } from './static-workloads';
import { Supervisor } from './supervisor';
import type { StaticKind, StaticWorkload } from './workload';
import type { WorkloadMemory } from './workload.state';

const log = createLog({ level: 'silent', service: 'node-agent', instance: 'test', version: '0' });
const READY_WITHIN_MS = 400;

function workload(id: string, slots: number, more: Partial<StaticWorkload> = {}, behaviour: ScriptedBehaviour = {}) {
  return {
    id,
    kind: 'service' as StaticKind,
    command: scriptedCommand(behaviour),
    env: {},
    cwd: '/',
    slots: Array.from({ length: slots }, (_, slot) => ({
      env: { SLOT: String(slot) },
      ports: { http: 14_000 + slot },
    })),
    instances: 1,
    dependsOn: [],
    readiness: { kind: 'none' as const },
    stop: { signal: 'SIGTERM' as const, graceMs: 1_000 },
    restart: 'always' as const,
    release: null,
    ...more,
  };
}

describe('StaticWorkloads', () => {
  let runtime: ScriptedRuntime;
  let supervisor: Supervisor;
  let statics: StaticWorkloads;
  let state: {
    slots: Record<string, number[]>;
    scales: Record<string, number>;
    replacements: Record<string, Replacement>;
  };
  let switched: string[];

  beforeEach(() => {
    const clock = new SystemClock();
    runtime = new ScriptedRuntime(clock);
    const check = async ({ id }: { id: string }) => (runtime.isReady(id) ? null : 'not yet');
    supervisor = new Supervisor({ runtime, clock, log, memories: new Map<string, WorkloadMemory>(), check });
    state = { slots: {}, scales: {}, replacements: {} };
    switched = [];
    const store = { current: state, commit: async (change: (value: typeof state) => void) => change(state) };
    statics = new StaticWorkloads(supervisor, store as never, log, READY_WITHIN_MS);
    supervisor.start();
  });
  afterEach(() => supervisor.stop());

  const ready = () => eventually(() => expect(statics.ready).toBe(true));
  const restart = async (name: string) => {
    const messages: string[] = [];
    const report = (message: string) => void messages.push(message);
    await statics.replace(statics.find(name), report, async () => void switched.push(name));
    return messages;
  };

  it('gives each slot its environment and is ready when all are', async () => {
    expect(statics.ready).toBe(false);
    await statics.apply({ workloads: [workload('a', 1), workload('b', 3, { instances: 2 })] });
    await ready();
    expect(state.slots).toEqual({ a: [0], b: [0, 1] });
    expect(runtime.world.launches.map(({ id, env }) => [id, env['SLOT']])).toEqual([
      ['a.0', '0'],
      ['b.0', '0'],
      ['b.1', '1'],
    ]);
  });

  it('replaces a run in the spare slot, and later in the first again', async () => {
    await statics.apply({ workloads: [workload('a', 2)] });
    await ready();
    expect(await restart('a')).toEqual(['Starting a.1 beside a.0', 'a.1 is ready; draining a.0', 'a.0 is gone']);
    expect(runtime.calls).toEqual(['start a.0', 'start a.1', 'SIGTERM a.0']);
    expect(state.slots).toEqual({ a: [1] });
    await restart('a');
    expect(state).toMatchObject({ slots: { a: [0] }, replacements: {} });
    expect(switched).toEqual(['a', 'a']);
  });

  it('updates to another release, and keeps that for every run that follows', async () => {
    const release = (version: string) => ({ release: { service: 'a', version }, env: { VERSION: version } });
    await statics.apply({ workloads: [workload('a', 2, release('1'))] });
    await ready();
    const messages: string[] = [];
    const target = workload('a', 2, release('2'));
    await statics.replace(
      target,
      (message) => messages.push(message),
      async () => undefined,
    );
    expect(messages[0]).toBe('Starting a.1 (2) beside a.0');
    await restart('a');
    expect(runtime.world.launches.map(({ id, env }) => [id, env['VERSION']])).toEqual([
      ['a.0', '1'],
      ['a.1', '2'],
      ['a.0', '2'],
    ]);
    expect(statics.applied.workloads[0]?.release?.version).toBe('2');
  });

  it.each<[string, Replacement, number[], string[]]>([
    ['started', { from: '1', to: '2', waiting: [0], draining: null }, [0], ['start a.0', 'start a.1', 'SIGTERM a.0']],
    ['drained', { from: '1', to: '2', waiting: [], draining: 0 }, [1], ['start a.1']],
  ])('goes on with an update that was broken off when it was %s', async (_, begun, slots, calls) => {
    state.slots = { a: slots };
    state.replacements = { a: begun };
    const target = workload('a', 2, { release: { service: 'a', version: '2' } });
    await statics.apply({ workloads: [target] });
    await statics.replace(
      target,
      () => undefined,
      async () => undefined,
    );
    await ready();
    expect(runtime.calls).toEqual(calls);
    expect(state).toMatchObject({ slots: { a: [1] }, replacements: {} });
  });

  it('replaces several instances one after the other', async () => {
    await statics.apply({ workloads: [workload('a', 3, { instances: 2 })] });
    await ready();
    await restart('a');
    expect(runtime.calls).toEqual(['start a.0', 'start a.1', 'start a.2', 'SIGTERM a.0', 'start a.0', 'SIGTERM a.1']);
    expect(state.slots).toEqual({ a: [2, 0] });
  });

  it('stops before it starts where there is no spare slot, or a lock', async () => {
    await statics.apply({ workloads: [workload('a', 1), workload('b', 2, { lock: 'b' })] });
    await ready();
    await restart('a');
    await restart('b');
    expect(runtime.calls.slice(2)).toEqual(['SIGTERM a.0', 'start a.0', 'SIGTERM b.0', 'start b.0']);
  });

  it('takes back a replacement that does not get ready, and keeps the old run', async () => {
    await statics.apply({ workloads: [workload('a', 2)] });
    await ready();
    await statics.apply({ workloads: [workload('a', 2, {}, { readyAfterMs: 60_000 })] });
    await expect(restart('a')).rejects.toThrow(/a\.1 was to get ready and did not within 0\.4 s: not yet/);
    expect(runtime.calls).toEqual(['start a.0', 'start a.1', 'SIGTERM a.1']);
    expect(supervisor.status('a.0')).toMatchObject({ phase: 'ready', outdated: true });
    expect(supervisor.status('a.1')).toBeUndefined();
    expect(state).toMatchObject({ slots: { a: [0] }, replacements: {} });
    expect(switched).toEqual([]);
  });

  it('refuses to restart what it does not know, and what is being restarted', async () => {
    await statics.apply({ workloads: [workload('a', 2)] });
    await ready();
    expect(() => statics.find('b')).toThrow(/runs no service b/);
    const first = restart('a');
    await expect(restart('a')).rejects.toThrow(/being replaced or scaled already/);
    await first;
  });

  it('is scaled up at once and down again, and replaces all instances one by one in between', async () => {
    await statics.apply({ workloads: [workload('a', 4)] });
    await ready();
    const messages: string[] = [];
    await statics.scale('a', 3, (message) => void messages.push(message));
    expect(messages).toEqual(['Starting a.1', 'Starting a.2', 'a.1 is ready', 'a.2 is ready']);
    await restart('a');
    expect(state).toMatchObject({ slots: { a: [3, 0, 1] }, scales: { a: 3 } });
    messages.length = 0;
    await statics.scale('a', 1, (message) => void messages.push(message));
    expect(messages).toEqual(['Draining a.0', 'Draining a.1', 'a.0 is gone', 'a.1 is gone']);
    expect(state).toMatchObject({ slots: { a: [3] }, scales: { a: 1 } });
    expect(supervisor.statuses().map(({ id }) => id)).toEqual(['a.3']);
  });

  it('has as many instances as it was scaled to after a restart of the agent', async () => {
    Object.assign(state, { slots: { a: [2, 0] }, scales: { a: 3 } });
    await statics.apply({ workloads: [workload('a', 4)] });
    await ready();
    expect(runtime.calls.toSorted()).toEqual(['start a.0', 'start a.1', 'start a.2']);
  });

  it('takes all new instances back when one of them does not get ready, and keeps what serves', async () => {
    await statics.apply({ workloads: [workload('a', 4)] });
    await ready();
    await statics.apply({ workloads: [workload('a', 4, {}, { readyAfterMs: 60_000 })] });
    await expect(statics.scale('a', 3, () => undefined)).rejects.toThrow(/a\.1 was to get ready and did not/);
    expect(state).toMatchObject({ slots: { a: [0] }, scales: { a: 1 } });
    expect(supervisor.statuses().map(({ id }) => id)).toEqual(['a.0']);
    expect(supervisor.status('a.0')).toMatchObject({ phase: 'ready' });
  });

  it('is changed in one way at a time', async () => {
    await statics.apply({ workloads: [workload('a', 4)] });
    await ready();
    const scaling = statics.scale('a', 2, () => undefined);
    await expect(restart('a')).rejects.toThrow(/being replaced or scaled already/);
    await scaling;
  });

  it('stops services before the proxy, and these before the bus and the database', async () => {
    const kinds: StaticKind[] = ['database', 'bus', 'proxy', 'service', 'task'];
    await statics.apply({ workloads: kinds.map((kind) => workload(kind, 1, { kind })) });
    await ready();
    const messages: string[] = [];
    await statics.stopAll((message) => messages.push(message));
    expect(messages.slice(0, 2).sort()).toEqual(['Stopped service', 'Stopped task']);
    expect(messages.slice(2)).toEqual(['Stopped proxy', 'Stopped bus', 'Stopped database']);
  });

  it('uses the slots it used before', async () => {
    state.slots = { a: [1], gone: [0] };
    await statics.apply({ workloads: [workload('a', 2)] });
    await ready();
    expect(runtime.calls).toEqual(['start a.1']);
  });
});
