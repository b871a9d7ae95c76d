import { createLog, FakeClock } from '@alto/platform';
import { scriptedCommand, ScriptedRuntime, type ScriptedBehaviour } from '../runtime/scripted-runtime';
import { Supervisor, type MemoryStore } from './supervisor';
import type { Workload } from './workload';
import type { WorkloadMemory } from './workload.state';

const log = createLog({ level: 'silent', service: 'node-agent', instance: 'test', version: '0' });

class Memories extends Map<string, WorkloadMemory> implements MemoryStore {
  writes = 0;

  override set(id: string, memory: WorkloadMemory): this {
    this.writes++;
    return super.set(id, memory);
  }
}

function workload(id: string, behaviour: ScriptedBehaviour = {}, more: Partial<Workload> = {}): Workload {
  return {
    id,
    kind: 'service',
    name: id.split('.')[0] ?? id,
    command: scriptedCommand(behaviour),
    env: {},
    cwd: '/',
    ports: {},
    dependsOn: [],
    readiness: { kind: 'none' },
    stop: { signal: 'SIGTERM', graceMs: 5_000 },
    restart: 'always',
    release: null,
    oneShot: false,
    ...more,
  };
}

describe('Supervisor', () => {
  const clock = new FakeClock();
  const uptime = new FakeClock();
  const uptimeMs = () => uptime.nowMs();
  let runtime: ScriptedRuntime;
  let memories: Memories;
  let supervisor: Supervisor;

  const adopt = (from?: ScriptedRuntime) => {
    runtime = new ScriptedRuntime(clock, from?.world);
    const check = async ({ id }: Workload) => (runtime.isReady(id) ? null : 'not yet');
    return new Supervisor({ runtime, clock, uptimeMs, log, memories, check });
  };
  beforeEach(() => {
    memories = new Memories();
    supervisor = adopt();
  });

  /** Turns rounds while time passes, in steps of a tenth of a second. */
  async function pass(ms: number): Promise<void> {
    for (let passed = 0; passed <= ms; passed += 100) {
      await supervisor.tick();
      await supervisor.idle();
      if (passed === ms) break;
      clock.advance(100);
      uptime.advance(100);
    }
  }
  const phase = (id: string) => supervisor.status(id)?.phase;
  const starts = () => runtime.calls.filter((call) => call.startsWith('start')).map((call) => call.slice(6));

  it('starts a workload and shows it ready when its check passes', async () => {
    supervisor.want(workload('a', { readyAfterMs: 1_000 }), 'running');
    await pass(500);
    expect(supervisor.status('a')).toMatchObject({ phase: 'starting', reason: 'not yet', pid: 1000 });
    await pass(1_700);
    expect(supervisor.status('a')).toMatchObject({ phase: 'ready', restarts: 0 });
  });

  it('writes nothing while all is as it was', async () => {
    supervisor.want(workload('ready'), 'running');
    supervisor.want(workload('never ready', { readyAfterMs: 1e9 }), 'running');
    supervisor.want(workload('done', { runForMs: 100 }, { oneShot: true }), 'running');
    supervisor.want(
      workload('frozen', { ignoresStopSignals: true }, { stop: { signal: 'SIGTERM', graceMs: 1e9 } }),
      'running',
    );
    await pass(1_000);
    supervisor.want(workload('frozen', {}, { stop: { signal: 'SIGTERM', graceMs: 1e9 } }), 'stopped');
    await pass(1_000);
    const { writes } = memories;
    await pass(60_000);
    expect(memories.writes - writes).toBe(0);
  });

  it('starts what ends again, with growing pauses', async () => {
    supervisor.want(workload('a', { runForMs: 100, exitCode: 3 }), 'running');
    await pass(1_000);
    expect(supervisor.status('a')).toMatchObject({ phase: 'backoff', exitCode: 3, restarts: 1 });
    await pass(60_000);
    expect(starts()).toHaveLength(6);
  });

  it('asks a run that was ready whether it is alive, and replaces one that is not', async () => {
    let answers = 500;
    const asked: string[] = [];
    const check = async ({ readiness }: Workload) => {
      if (readiness.kind !== 'http') return null;
      asked.push(readiness.url);
      return answers === 200 ? null : `/live answered ${answers}`;
    };
    supervisor = new Supervisor({ runtime, clock, uptimeMs, log, memories, check });
    const liveness = { url: 'http://127.0.0.1:1/live', intervalMs: 1_000, timeoutMs: 100, failuresMax: 3 };
    supervisor.want(workload('a', {}, { liveness }), 'running');
    await pass(1_900);
    expect(asked).toHaveLength(2);
    expect(phase('a')).toBe('ready');
    await pass(1_000);
    expect(supervisor.status('a')).toMatchObject({ phase: 'backoff', restarts: 1 });
    expect(supervisor.status('a')?.reason).toMatch(/^Liveness failed 3 times in a row: \/live answered 500; starts/);
    answers = 200;
    await pass(5_000);
    expect(supervisor.status('a')).toMatchObject({ phase: 'ready', restarts: 1 });
    expect(starts()).toEqual(['a', 'a']);
  });

  it('waits for one that is frozen no longer than its liveness allows', async () => {
    let frozen = false;
    const check = async () => (frozen ? '/live did not answer' : null);
    supervisor = new Supervisor({ runtime, clock, uptimeMs, log, memories, check });
    const liveness = {
      url: 'http://127.0.0.1:1/live',
      intervalMs: 1_000,
      timeoutMs: 100,
      failuresMax: 2,
      graceMs: 500,
    };
    const stop = { signal: 'SIGTERM' as const, graceMs: 60_000 };
    supervisor.want(workload('a', { ignoresStopSignals: true }, { liveness, stop }), 'running');
    await pass(1_000);
    frozen = true;
    await pass(3_500);
    frozen = false;
    await pass(3_000);
    expect(supervisor.status('a')).toMatchObject({ phase: 'ready', restarts: 1 });
    expect(starts()).toEqual(['a', 'a']);
  });

  it('needs three failed checks in a row to call a ready workload unready', async () => {
    let broken = false;
    const check = async () => (broken ? '/ answered 500' : null);
    supervisor = new Supervisor({ runtime, clock, uptimeMs, log, memories, check });
    supervisor.want(workload('a'), 'running');
    await pass(1_000);
    broken = true;
    await pass(9_000);
    expect(phase('a')).toBe('ready');
    await pass(7_000);
    expect(supervisor.status('a')).toMatchObject({ phase: 'unready', reason: '/ answered 500' });
    broken = false;
    await pass(1_100);
    expect(phase('a')).toBe('ready');
    expect(starts()).toEqual(['a']);
  });

  it('goes on with its checks when the clock is set back', async () => {
    let broken = false;
    const check = async () => (broken ? '/ answered 500' : null);
    supervisor = new Supervisor({ runtime, clock, uptimeMs, log, memories, check });
    const liveness = { url: 'http://127.0.0.1:1/live', intervalMs: 5_000, timeoutMs: 100, failuresMax: 6 };
    supervisor.want(workload('a', {}, { liveness }), 'running');
    supervisor.want(workload('needs.0', {}, { dependsOn: ['nothing'] }), 'running');
    await pass(10_000);
    clock.advance(-3_600_000);
    broken = true;
    await pass(15_000);
    expect(phase('a')).toBe('unready');
    await pass(20_000);
    expect(supervisor.status('a')).toMatchObject({ restarts: 1 });
    await pass(20_000);
    expect(starts()).toContain('needs.0');
  });

  it('starts in the order of dependencies', async () => {
    supervisor.want(workload('c.0', {}, { dependsOn: ['b'] }), 'running');
    supervisor.want(workload('b.0', { readyAfterMs: 500 }, { dependsOn: ['a'] }), 'running');
    supervisor.want(workload('a.0', { readyAfterMs: 500 }), 'running');
    await pass(100);
    expect(supervisor.status('b.0')).toMatchObject({ phase: 'waiting', reason: 'Waits for a' });
    await pass(4_000);
    expect(starts()).toEqual(['a.0', 'b.0', 'c.0']);
  });

  it('starts nothing without the file that it needs', async () => {
    supervisor.want(workload('a.0', {}, { needsFile: '/nowhere/a.cfg' }), 'running');
    await pass(1_000);
    expect(supervisor.status('a.0')).toMatchObject({ phase: 'waiting', reason: 'Waits for /nowhere/a.cfg' });
    supervisor.want(workload('a.0', {}, { needsFile: '/' }), 'running');
    await pass(200);
    expect(starts()).toEqual(['a.0']);
  });

  it('does not hold a dependant for ever, except for what must complete', async () => {
    supervisor.want(workload('never.0', { readyAfterMs: 1e9 }), 'running');
    supervisor.want(workload('task.0', { runForMs: 1e9 }, { oneShot: true }), 'running');
    supervisor.want(workload('patient.0', {}, { dependsOn: ['never'] }), 'running');
    supervisor.want(workload('strict.0', {}, { dependsOn: ['task'] }), 'running');
    await pass(61_000);
    expect(phase('patient.0')).toBe('ready');
    expect(supervisor.status('strict.0')).toMatchObject({ phase: 'waiting', reason: 'Waits for task' });
  });

  it('does not restart a dependant because what it stands on ended', async () => {
    supervisor.want(workload('base.0', { runForMs: 3_000 }), 'running');
    supervisor.want(workload('user.0', { runForMs: 3_500 }, { dependsOn: ['base'] }), 'running');
    await pass(3_400);
    expect([phase('base.0'), phase('user.0')]).toEqual(['backoff', 'ready']);
    await pass(1_500);
    expect(starts()).toEqual(['base.0', 'user.0', 'base.0', 'user.0']);
  });

  it('never runs two holders of a lock', async () => {
    supervisor.want(workload('a.0', { stopsAfterMs: 2_000 }, { lock: 'one' }), 'running');
    supervisor.want(workload('b.0', {}, { lock: 'one' }), 'running');
    await pass(500);
    expect(starts()).toEqual(['a.0']);
    expect(supervisor.status('b.0')?.reason).toBe('Waits until a.0 is gone');
    supervisor.want(workload('a.0', {}, { lock: 'one' }), 'stopped');
    await pass(1_500);
    expect(phase('b.0')).toBe('waiting');
    await pass(1_500);
    expect([phase('a.0'), phase('b.0')]).toEqual(['exited', 'ready']);
  });

  it('stops by signal, kills after the grace, and drops only what is gone', async () => {
    supervisor.want(workload('a', { ignoresStopSignals: true }), 'running');
    await pass(200);
    supervisor.want(workload('a'), 'stopped');
    await pass(4_000);
    expect(runtime.calls).toEqual(['start a', 'SIGTERM a']);
    expect(() => supervisor.drop('a')).toThrow(/has not exited/);
    await pass(1_500);
    expect(runtime.calls).toEqual(['start a', 'SIGTERM a', 'kill a']);
    expect(supervisor.status('a')).toMatchObject({ phase: 'exited', exitSignal: 'SIGKILL' });
    supervisor.drop('a');
    expect(supervisor.statuses()).toEqual([]);
  });

  it('tells a run to stop though its log takes no note', async () => {
    runtime.logs.note = async () => {
      throw new Error('ENOSPC: no space left on device');
    };
    supervisor.want(workload('a'), 'running');
    await pass(200);
    supervisor.want(workload('a'), 'stopped');
    await pass(200);
    expect(runtime.calls).toEqual(['start a', 'SIGTERM a']);
    expect(supervisor.status('a')).toMatchObject({ phase: 'exited', exitSignal: 'SIGTERM' });
  });

  it('looks after workloads though their processes cannot be recorded', async () => {
    const full = Object.assign(runtime, { track: () => Promise.reject(new Error('ENOSPC: no space left on device')) });
    supervisor.want(workload('a'), 'running');
    await supervisor.tick();
    await supervisor.idle();
    expect(full.calls).toEqual(['start a']);
  });

  it('tells a run to stop again when the signal could not be sent, and says so once in its log', async () => {
    const send = runtime.signal.bind(runtime);
    let failures = 2;
    runtime.signal = async (id, signal) => {
      if (failures-- > 0) throw new Error('EPERM');
      await send(id, signal);
    };
    supervisor.want(workload('a', { stopsAfterMs: 1_000 }), 'running');
    await pass(200);
    supervisor.want(workload('a'), 'stopped');
    await pass(2_000);
    expect(runtime.calls).toEqual(['start a', 'SIGTERM a']);
    const { lines } = await runtime.logs.read('a', { linesMax: 10 });
    expect(lines.map(({ text }) => text)).toEqual(['No longer wanted: told to stop by SIGTERM', 'Ended by SIGTERM']);
  });

  it('kills a run that cannot be told to stop after the grace that it would have had', async () => {
    runtime.signal = () => Promise.reject(new Error('EPERM'));
    supervisor.want(workload('a'), 'running');
    await pass(200);
    supervisor.want(workload('a'), 'stopped');
    await pass(4_800);
    expect(runtime.calls).toEqual(['start a']);
    await pass(500);
    expect(runtime.calls).toEqual(['start a', 'kill a']);
    expect(phase('a')).toBe('exited');
  });

  it('ends a round when every step has ended, also one of a workload that cannot be looked at', async () => {
    const observe = runtime.observe.bind(runtime);
    const slow = Promise.withResolvers<void>();
    runtime.observe = async (id) => {
      if (id === 'broken') throw new Error('EIO');
      await slow.promise;
      return await observe(id);
    };
    supervisor.want(workload('broken'), 'running');
    supervisor.want(workload('slow'), 'running');
    let ended = false;
    const round = supervisor.tick().then(() => (ended = true));
    await new Promise(setImmediate);
    expect(ended).toBe(false);
    slow.resolve();
    await round;
    await supervisor.idle();
    expect(starts()).toEqual(['slow']);
  });

  it('remembers nothing of what was dropped while it was looked at', async () => {
    supervisor.want(workload('a'), 'running');
    await pass(200);
    supervisor.want(workload('a'), 'stopped');
    await pass(500);
    const observe = runtime.observe.bind(runtime);
    runtime.observe = async (id) => {
      supervisor.drop(id);
      memories.delete(id);
      return await observe(id);
    };
    await supervisor.tick();
    expect([...memories.keys()]).toEqual([]);
  });

  it('kills what a run left behind before it starts the next', async () => {
    supervisor.want(workload('a', { runForMs: 200, leavesProcess: true }), 'running');
    await pass(2_000);
    expect(runtime.calls.slice(0, 3)).toEqual(['start a', 'kill a', 'start a']);
  });

  it('tries a failed start again with backoff, and says why', async () => {
    supervisor.want(workload('a', { failsToStart: 'the disk is full' }), 'running');
    await pass(500);
    expect(supervisor.status('a')).toMatchObject({ phase: 'backoff', run: 0 });
    expect(supervisor.status('a')?.reason).toMatch(/^the disk is full; starts again in 1 s/);
    await pass(3_500);
    expect(starts()).toHaveLength(3);
  });

  it('adopts after an agent that was killed: nothing is started, readiness holds, ends are counted', async () => {
    supervisor.want(workload('stays'), 'running');
    supervisor.want(workload('ends', { runForMs: 5_000, exitCode: 9 }), 'running');
    await pass(1_000);
    clock.advance(3_500);
    const dead = runtime;
    clock.advance(1_000);
    supervisor = adopt(dead);
    supervisor.want(workload('stays'), 'running');
    supervisor.want(workload('ends', { runForMs: 5_000, exitCode: 9 }), 'running');
    const seen: (string | undefined)[] = [];
    supervisor.onChange(() => seen.push(phase('stays')));
    await pass(0);
    expect(seen).not.toContain('starting');
    expect(supervisor.status('stays')).toMatchObject({ phase: 'ready', pid: 1000, run: 1 });
    expect(supervisor.status('ends')).toMatchObject({ phase: 'backoff', exitCode: 9, restarts: 1 });
    await pass(2_000);
    expect(starts()).toEqual(['ends']);
  });

  it('goes on with a stop that an agent began', async () => {
    supervisor.want(workload('a', { ignoresStopSignals: true }), 'running');
    await pass(200);
    supervisor.want(workload('a'), 'stopped');
    await pass(3_000);
    supervisor = adopt(runtime);
    supervisor.want(workload('a'), 'stopped');
    await pass(2_500);
    expect(runtime.calls).toEqual(['kill a']);
    expect(phase('a')).toBe('exited');
  });

  it('shows that a workload runs from another specification, and leaves it alone', async () => {
    supervisor.want(workload('a'), 'running');
    await pass(200);
    supervisor.want(workload('a', {}, { env: { NEW: '1' } }), 'running');
    await pass(1_000);
    expect(supervisor.status('a')).toMatchObject({ phase: 'ready', outdated: true });
    expect(starts()).toEqual(['a']);
  });
});
