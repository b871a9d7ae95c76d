import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@alto/testing';
import { runtimeConformance, type Script } from '../runtime.conformance';
import type { Launch, RunView, WorkloadRuntime } from '../runtime';
import { ProcessRuntime, type ProcessRuntimeOptions } from './process-runtime';
import { isAlive, identityOf } from './process-table';
import { installScripts } from './shim';

const PATH = process.env.PATH ?? '';

/** A program of its own, so that its process is the main one and no shell stands between. */
function program(script: Script): string {
  const lines = (script.output ?? []).map((line) => `console.log(${JSON.stringify(line)});`);
  const leave = `require('node:child_process').spawn('sleep', ['300'], { detached: true, stdio: 'ignore' }).unref();`;
  const end = `setTimeout(() => process.exit(${script.exitCode ?? 0}), ${script.runForMs ?? 300_000});`;
  return [
    ...(script.ignoresStopSignals ? [`process.on('SIGTERM', () => {});`] : []),
    ...(script.leavesProcess ? [leave] : []),
    ...lines,
    end,
  ].join('\n');
}

function launch(id: string, script: Script): Launch {
  return { id, command: [process.execPath, '-e', program(script)], env: { PATH }, cwd: '/' };
}

/** Durations that no other process of this machine sleeps for, so that its sleepers can be told from others. */
const nap = (seconds: number) => `${seconds}.${process.pid}`;

const shell = (id: string, text: string, env: Record<string, string> = {}): Launch => ({
  id,
  command: ['/bin/sh', '-c', text],
  env: { PATH, ...env },
  cwd: '/',
});

async function makeFolder(more: Partial<ProcessRuntimeOptions> = {}) {
  const root = await mkdtemp(join(tmpdir(), 'alto-runtime-'));
  const options: ProcessRuntimeOptions = {
    folder: join(root, 'workloads'),
    scripts: join(root, 'scripts'),
    name: root.slice(-6),
    logBytesMax: 1 << 20,
    ...more,
  };
  const runtime = await ProcessRuntime.open(options);
  const dispose = async () => {
    for (const id of await runtime.list()) await runtime.kill(id);
    await eventually(async () => {
      for (const id of await runtime.list()) await runtime.forget(id);
    });
    await runtime.close();
    await rm(root, { recursive: true, force: true });
  };
  return { root, options, runtime, launch, reopen: () => ProcessRuntime.open(options), dispose };
}

runtimeConformance('ProcessRuntime', () => makeFolder());
runtimeConformance('ProcessRuntime without cgroups', () => makeFolder({ useCgroups: false }));

describe('ProcessRuntime', () => {
  let test: Awaited<ReturnType<typeof makeFolder>>;
  afterEach(() => test.dispose());

  const ended = (runtime: WorkloadRuntime, id: string) =>
    eventually(async () => {
      const view = await runtime.observe(id);
      expect(view.state).toBe('ended');
      return view as Extract<RunView, { state: 'ended' }>;
    });

  const running = (runtime: WorkloadRuntime, id: string) =>
    eventually(async () => {
      const view = await runtime.observe(id);
      expect(view.state).toBe('running');
      return view as Extract<RunView, { state: 'running' }>;
    });

  const texts = async (id: string) => {
    const chunk = await test.runtime.logs.read(id, { linesMax: 1000 });
    return chunk.lines.map((line) => line.text);
  };

  it('gives the process its environment and nothing of the agent’s', async () => {
    test = await makeFolder();
    await test.runtime.start(shell('a', 'env | grep -v ^PWD= | sort', { PORT: '20001', HOST: '127.0.0.1' }));
    await ended(test.runtime, 'a');
    const lines = await texts('a');
    const run = `ALTO_RUN=${test.options.folder}/a/1`;
    expect(lines.filter((line) => !/^(PATH|_|OLDPWD|SHLVL)=/.test(line))).toEqual([
      run,
      'HOST=127.0.0.1',
      'PORT=20001',
    ]);
  });

  it('starts programs with default signals: a shell’s background job would ignore SIGINT', async () => {
    test = await makeFolder();
    await test.runtime.start({ id: 'a', command: ['sleep', '300'], env: { PATH }, cwd: '/' });
    await running(test.runtime, 'a');
    await test.runtime.signal('a', 'SIGINT');
    expect((await ended(test.runtime, 'a')).exit).toEqual({ code: null, signal: 'SIGINT' });
  });

  it('says that a program is missing by the code of the shell and in the log', async () => {
    test = await makeFolder();
    await test.runtime.start({ id: 'a', command: ['no-such-program'], env: { PATH }, cwd: '/' });
    expect((await ended(test.runtime, 'a')).exit.code).toBe(127);
    expect((await texts('a')).join()).toContain('no-such-program');
  });

  it('names the folder that is missing', async () => {
    test = await makeFolder();
    const lost = { ...shell('a', 'true'), cwd: join(test.root, 'nowhere') };
    await expect(test.runtime.start(lost)).rejects.toThrow(/Cannot start a in .*nowhere/);
    expect(await test.runtime.observe('a')).toMatchObject({ state: 'ended', exit: { code: null, signal: null } });
  });

  it('kills a run for a cause, and starts the next, where neither cause nor end can be written', async () => {
    test = await makeFolder();
    await test.runtime.start({ id: 'a', command: ['sleep', '300'], env: { PATH }, cwd: '/' });
    await running(test.runtime, 'a');
    for (const name of ['cause', 'exit']) await mkdir(join(test.options.folder, 'a/1', name));
    await test.runtime.kill('a', 'its working folder had more than 1 MiB');
    const over = { state: 'ended', exit: { code: null, signal: null }, leftovers: 0 };
    await eventually(async () => expect(await test.runtime.observe('a')).toMatchObject(over));
    expect(await test.runtime.observe('a')).toMatchObject(over);
    expect(await test.runtime.start(shell('a', 'true'))).toBe(2);
  });

  it('goes on when the shim is killed, and knows that it does not know the end', async () => {
    test = await makeFolder();
    await test.runtime.start(shell('a', 'exec sleep 300'));
    const { pid } = await running(test.runtime, 'a');
    const shimPid = Number(
      execFileSync('cat', [join(test.options.folder, 'a/1/shim')], { encoding: 'utf8' }).split(' ')[0],
    );
    process.kill(shimPid, 'SIGKILL');
    await eventually(() => expect(identityOf(shimPid)?.pid).toBeUndefined());
    expect(await test.runtime.observe('a')).toMatchObject({ state: 'running', pid });
    await test.runtime.kill('a');
    expect((await ended(test.runtime, 'a')).exit).toEqual({ code: null, signal: null });
  });

  it.each([true, false])('kills a tree that forked twice into new sessions (cgroups: %s)', async (useCgroups) => {
    test = await makeFolder({ useCgroups });
    const daemon = `setsid sh -c 'setsid sleep ${nap(301)} & setsid sleep ${nap(302)} & wait' & sleep 300`;
    await test.runtime.start(shell('a', daemon));
    await running(test.runtime, 'a');
    const sleepers = await eventually(() => {
      const found = execFileSync('pgrep', ['-f', `^sleep 30[12]\\.${process.pid}$`], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map(Number);
      const ours = found.map(identityOf).filter((identity) => identity !== undefined);
      expect(ours.length).toBeGreaterThanOrEqual(2);
      return ours;
    });
    await test.runtime.track();
    await test.runtime.kill('a');
    await eventually(() => expect(sleepers.filter(isAlive)).toEqual([]));
    await eventually(async () =>
      expect(await ended(test.runtime, 'a')).toMatchObject({ leftovers: 0, exit: { signal: 'SIGKILL' } }),
    );
  });

  it('knows recorded descendants that lost their parent and their environment', async () => {
    test = await makeFolder({ useCgroups: false });
    await test.runtime.start(shell('a', `env -i setsid sleep ${nap(303)} & exec sleep 300`));
    const { pid } = await running(test.runtime, 'a');
    await eventually(() => execFileSync('pgrep', ['-f', `^sleep 303\\.${process.pid}$`]));
    await test.runtime.track();
    process.kill(pid, 'SIGKILL');
    expect((await ended(test.runtime, 'a')).leftovers).toBe(1);
    await test.runtime.kill('a');
    await eventually(async () => expect(await test.runtime.observe('a')).toMatchObject({ leftovers: 0 }));
  });

  it('bounds the log of a workload that writes without end, and loses none of what it keeps', async () => {
    test = await makeFolder({ logBytesMax: 256 * 1024, logBoundEveryMs: 100 });
    const writer = `i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo "line $i of a log that is longer than its bound"; done; sleep 300`;
    await test.runtime.start(shell('a', writer));
    const lastLine = 'line 30000 of a log that is longer than its bound';
    await eventually(async () => expect((await texts('a')).at(-1)).toBe(lastLine), { withinMs: 20_000 });
    await eventually(async () => expect((await stat(test.runtime.logPath('a'))).blocks * 512).toBeLessThan(300 * 1024));
    const numbers = await readAllNumbers(test.runtime);
    expect(numbers.at(-1)).toBe(30_000);
    expect(numbers).toEqual(Array.from(numbers, (_, index) => (numbers[0] ?? 0) + index));
    expect(numbers.length).toBeGreaterThan(1_000);
  });

  /** From a cursor whose lines are given back long ago. */
  async function readAllNumbers(runtime: ProcessRuntime): Promise<number[]> {
    const numbers: number[] = [];
    let cursor = '0';
    for (;;) {
      const chunk = await runtime.logs.read('a', { cursor, linesMax: 500 });
      if (chunk.lines.length === 0) return numbers;
      cursor = chunk.cursor;
      numbers.push(...chunk.lines.flatMap((line) => /^line (\d+) /.exec(line.text)?.slice(1).map(Number) ?? []));
    }
  }

  it('keeps one process that bounds logs, and replaces one with another bound', async () => {
    test = await makeFolder();
    const guard = () => Number(readFileSync(join(test.options.folder, 'log-guard'), 'utf8').split(' ')[0]);
    const first = guard();
    await test.reopen();
    expect(guard()).toBe(first);
    const other = await ProcessRuntime.open({ ...test.options, logBytesMax: 2 << 20 });
    expect(guard()).not.toBe(first);
    await eventually(() => expect(identityOf(first)?.pid ?? null).toBeNull());
    await other.close();
  });

  it('does not start a run whose agent died before it said go', async () => {
    test = await makeFolder();
    await test.runtime.start(shell('a', 'true'));
    await ended(test.runtime, 'a');
    const { RunFolder } = await import('./run-folder');
    const orphan = new RunFolder(join(test.options.folder, 'a/2'), 2);
    orphan.create(undefined);
    const { shim } = await installScripts(test.options.scripts);
    execFileSync('/bin/sh', [shim, 'supervise', orphan.path, 'touch', join(test.root, 'ran')], { input: '' });
    expect(await test.runtime.observe('a')).toEqual({ state: 'starting', run: 2 });
    expect((await ended(test.runtime, 'a')).exit).toEqual({ code: null, signal: null });
    await expect(stat(join(test.root, 'ran'))).rejects.toThrow();
  });
});
