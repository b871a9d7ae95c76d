/** What every runtime promises, as tests. A runtime's own spec calls `runtimeConformance` with a way to make one. */
import { eventually } from '@alto/testing';
import type { Launch, RunView, WorkloadRuntime } from './runtime';

/** Behaviour of a workload, which each runtime turns into something it can run. */
export interface Script {
  /** Ends by itself after this long; left out: never. */
  runForMs?: number;
  exitCode?: number;
  ignoresStopSignals?: boolean;
  /** Lines written at the start. */
  output?: readonly string[];
  /** Leaves a process behind that has a session of its own. */
  leavesProcess?: boolean;
}

export interface RuntimeUnderTest {
  runtime: WorkloadRuntime;
  launch(id: string, script: Script): Launch;
  /** A second runtime over the same records, as after a restart of the agent. */
  reopen(): Promise<WorkloadRuntime>;
  dispose(): Promise<void>;
}

export function runtimeConformance(name: string, make: () => Promise<RuntimeUnderTest>): void {
  describe(`${name} as a WorkloadRuntime`, () => {
    let test: RuntimeUnderTest;
    let runtime: WorkloadRuntime;
    beforeEach(async () => {
      test = await make();
      runtime = test.runtime;
    });
    afterEach(() => test.dispose());

    const until = <S extends RunView['state']>(id: string, state: S, from: WorkloadRuntime = runtime) =>
      eventually(async () => {
        const view = await from.observe(id);
        expect(view.state).toBe(state);
        return view as Extract<RunView, { state: S }>;
      });

    it('knows nothing of an unknown id, and is asked to stop it in vain', async () => {
      expect(await runtime.observe('unknown')).toEqual({ state: 'none' });
      await runtime.signal('unknown', 'SIGTERM');
      await runtime.kill('unknown');
      await runtime.forget('unknown');
      expect(await runtime.list()).toEqual([]);
    });

    it('runs a workload to its end and keeps its exit code', async () => {
      expect(await runtime.start(test.launch('a', { runForMs: 50, exitCode: 7 }))).toBe(1);
      const ended = await until('a', 'ended');
      expect(ended).toMatchObject({ run: 1, exit: { code: 7, signal: null }, leftovers: 0 });
      expect(await runtime.list()).toEqual(['a']);
    });

    it('numbers the runs of a workload', async () => {
      await runtime.start(test.launch('a', { runForMs: 1 }));
      await until('a', 'ended');
      expect(await runtime.start(test.launch('a', {}))).toBe(2);
      expect(await until('a', 'running')).toMatchObject({ run: 2 });
    });

    it('refuses a second run beside a living one', async () => {
      await runtime.start(test.launch('a', {}));
      await until('a', 'running');
      await expect(runtime.start(test.launch('a', {}))).rejects.toThrow(/still has processes/);
    });

    it('ends a run by signal', async () => {
      await runtime.start(test.launch('a', {}));
      await until('a', 'running');
      await runtime.signal('a', 'SIGTERM');
      expect((await until('a', 'ended')).exit).toEqual({ code: null, signal: 'SIGTERM' });
    });

    it('kills what ignores signals', async () => {
      await runtime.start(test.launch('a', { ignoresStopSignals: true, output: ['up'] }));
      await until('a', 'running');
      await eventually(async () => expect((await runtime.logs?.read('a', { linesMax: 5 }))?.lines).toHaveLength(1));
      await runtime.signal('a', 'SIGTERM');
      expect((await runtime.observe('a')).state).toBe('running');
      await runtime.kill('a');
      expect(await until('a', 'ended')).toMatchObject({ exit: { signal: 'SIGKILL' } });
    });

    it('counts processes that outlive the main one, lets none start beside them, and kills them', async () => {
      await runtime.start(test.launch('a', { runForMs: 300, leavesProcess: true }));
      const end = await until('a', 'ended');
      expect({ exit: end.exit, leaves: end.leftovers > 0 }).toEqual({ exit: { code: 0, signal: null }, leaves: true });
      await expect(runtime.start(test.launch('a', {}))).rejects.toThrow(/still has processes/);
      await expect(runtime.forget('a')).rejects.toThrow(/still has processes/);
      await runtime.kill('a');
      await eventually(async () => expect(await runtime.observe('a')).toMatchObject({ state: 'ended', leftovers: 0 }));
    });

    it('forgets a workload that is gone, and only then', async () => {
      await runtime.start(test.launch('a', {}));
      await until('a', 'running');
      await expect(runtime.forget('a')).rejects.toThrow(/still has processes/);
      await runtime.kill('a');
      await until('a', 'ended');
      await eventually(() => runtime.forget('a'));
      expect(await runtime.list()).toEqual([]);
      expect(await runtime.observe('a')).toEqual({ state: 'none' });
    });

    it('is adopted: another agent sees the same run, and ends that happened meanwhile with their codes', async () => {
      await runtime.start(test.launch('stays', {}));
      await runtime.start(test.launch('ends', { runForMs: 100, exitCode: 3 }));
      const before = await until('stays', 'running');
      const successor = await test.reopen();
      expect(await until('stays', 'running', successor)).toMatchObject({ run: before.run, pid: before.pid });
      expect(await until('ends', 'ended', successor)).toMatchObject({ exit: { code: 3, signal: null } });
      expect((await successor.list()).sort()).toEqual(['ends', 'stays']);
    });

    it('keeps output beyond the end, in pages with a cursor', async () => {
      const logs = runtime.logs;
      if (!logs) return;
      await runtime.start(test.launch('a', { runForMs: 1, output: ['one', 'two', 'three'] }));
      await until('a', 'ended');
      const texts = async (cursor: string | undefined, linesMax: number) => {
        const chunk = await logs.read('a', { cursor, linesMax });
        return { texts: chunk.lines.map((line) => line.text), cursor: chunk.cursor };
      };
      expect((await texts(undefined, 2)).texts).toEqual(['two', 'three']);
      const first = await texts('0', 2);
      expect(first.texts).toEqual(['one', 'two']);
      const second = await texts(first.cursor, 2);
      expect(second.texts).toEqual(['three']);
      expect([await logs.bytesOf('a'), await logs.bytesOf('nothing')].map((bytes) => bytes > 10)).toEqual([
        true,
        false,
      ]);
      await logs.note('a', 'restarted', new Date(0));
      expect((await logs.read('a', { cursor: second.cursor, linesMax: 9 })).lines).toEqual([
        { stream: 'alto', time: '1970-01-01T00:00:00.000Z', text: 'restarted' },
      ]);
    });
  });
}
