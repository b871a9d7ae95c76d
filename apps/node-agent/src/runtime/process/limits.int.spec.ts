/** What bounded runs do when they want more. Where the machine's cgroups cannot be written there is nothing to try. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@alto/testing';
import type { RunLimits, RunView } from '../runtime';
import { Cgroups } from './cgroups/cgroups';
import { findHierarchies, type Control } from './cgroups/hierarchies';
import { ProcessRuntime } from './process-runtime';

const PATH = process.env.PATH ?? '';
const limits: RunLimits = {
  memoryBytes: 96 << 20,
  cpuMillis: 100,
  cpuMillisMax: 1_000,
  processesMax: 40,
  logBytesPerSecond: 1 << 20,
};

const probe = Cgroups.find(`alto-probe-${process.pid}`);
const can = (control: Control) => probe?.controls.has(control) ?? false;
probe?.close();

/** Keeps what it takes, and touches it, as only touched memory counts. */
const grower = `const kept = []; setInterval(() => kept.push(Buffer.alloc(8 << 20, 1)), 5);`;

describe('ProcessRuntime with limits', () => {
  let root: string;
  let runtime: ProcessRuntime;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'alto-limits-'));
    runtime = await ProcessRuntime.open({
      folder: join(root, 'workloads'),
      scripts: join(root, 'scripts'),
      name: root.slice(-6),
      logBytesMax: 1 << 20,
    });
  });
  afterEach(async () => {
    for (const id of await runtime.list()) await runtime.kill(id);
    await eventually(async () => {
      for (const id of await runtime.list()) await runtime.forget(id);
    });
    await runtime.close();
    await rm(root, { recursive: true, force: true });
  });

  const start = (id: string, ...command: string[]) => runtime.start({ id, command, env: { PATH }, cwd: '/', limits });

  const until = <S extends RunView['state']>(id: string, state: S) =>
    eventually(
      async () => {
        const view = await runtime.observe(id);
        expect(view.state).toBe(state);
        return view as Extract<RunView, { state: S }>;
      },
      { withinMs: 30_000 },
    );

  it('leaves no group behind where it only tried what can be bounded', () => {
    const { separate, unified } = findHierarchies();
    const places = [...separate.values(), ...(unified ? [unified] : [])].flatMap(({ mount, folder }) => [
      mount,
      folder,
    ]);
    expect(places.filter((place) => existsSync(join(place, `alto-probe-${process.pid}`)))).toEqual([]);
  });

  (can('pids') ? it : it['skip'])('gives a run a group of its own while the one of its name is held', async () => {
    const cgroups = Cgroups.find(`alto-held-${process.pid}`);
    const processes = [spawn('sleep', ['300']), spawn('sleep', ['300'])];
    const groups = processes.map(({ pid = 0 }) => {
      const group = cgroups?.enter('a.1', pid, limits);
      const pidsMax = readFileSync(join(group?.folders[0] ?? '', 'pids.max'), 'utf8');
      group?.forbidForks();
      return { group, pidsMax, members: group?.members(), removed: group?.remove() };
    });
    for (const child of processes) child.kill('SIGKILL');
    expect(groups).toMatchObject(processes.map(({ pid }) => ({ pidsMax: '40\n', members: [pid], removed: false })));
    await eventually(() => expect(groups.map(({ group }) => group?.remove())).toEqual([true, true]));
  });

  /** Where the machine cannot bound it, the runtime must know that. */
  const whereBound = (control: Control) => (name: string, test: () => Promise<void>) =>
    can(control) ? it(name, test) : it(`${name} (not on this machine)`, () => expect(can(control)).toBe(false));

  whereBound('memory')('kills what is over its memory alone, and says so', async () => {
    await start('neighbour', process.execPath, '-e', 'setInterval(() => {}, 1000)');
    await start('greedy', process.execPath, '-e', grower);
    const { exit, leftovers } = await until('greedy', 'ended');
    expect({ exit, leftovers }).toEqual({
      exit: { code: null, signal: 'SIGKILL', cause: 'out of memory (its limit is 96 MiB)' },
      leftovers: 0,
    });
    expect(await runtime.observe('neighbour')).toMatchObject({ state: 'running', run: 1 });
    expect(await runtime.start({ id: 'greedy', command: ['true'], env: { PATH }, cwd: '/', limits })).toBe(2);
    expect((await until('greedy', 'ended')).exit).toEqual({ code: 0, signal: null });
  });

  whereBound('memory')('says of a living run that one of its processes was killed', async () => {
    await start('parent', '/bin/sh', '-c', `'${process.execPath}' -e '${grower}'; exec sleep 300`);
    await eventually(
      async () =>
        expect(await runtime.observe('parent')).toMatchObject({
          state: 'running',
          warning: 'a process of it was killed: out of memory (its limit is 96 MiB)',
        }),
      { withinMs: 30_000 },
    );
  });

  whereBound('pids')('stops a fork bomb at the limit, says so, and kills all of it', async () => {
    await start('bomb', '/bin/sh', '-c', 'bomb() { bomb | bomb & }; bomb; exec sleep 300');
    await eventually(
      async () =>
        expect(await runtime.observe('bomb')).toMatchObject({
          state: 'running',
          warning: 'it was at its limit of 40 processes',
        }),
      { withinMs: 30_000 },
    );
    await runtime.kill('bomb');
    const { exit } = await until('bomb', 'ended');
    expect(exit).toMatchObject({ signal: 'SIGKILL', cause: 'it was at its limit of 40 processes' });
    await eventually(async () => expect(await runtime.observe('bomb')).toMatchObject({ leftovers: 0 }));
  });

  it('drops from a log what is more than its rate, and says how much; the app never waits', async () => {
    const flood = `const line = 'x'.repeat(1023) + '\\n';
      for (let n = 0; n < 65536; n++) require('node:fs').writeSync(1, line);
      console.log('done'); setInterval(() => {}, 1000);`;
    const logLimits = { ...limits, logBytesPerSecond: 64 << 10, memoryBytes: 512 << 20 };
    await runtime.start({
      id: 'a',
      command: [process.execPath, '-e', flood],
      env: { PATH },
      cwd: '/',
      limits: logLimits,
    });
    const words = async () => {
      await runtime.track();
      return (await runtime.logs.read('a', { linesMax: 1_000 })).lines.filter(({ stream }) => stream === 'alto');
    };
    await eventually(async () => expect((await words()).at(-1)?.text).toMatch(/^Dropped \d+ bytes of its output/), {
      withinMs: 30_000,
    });
    await eventually(async () => {
      await runtime.track();
      expect(await runtime.logs.bytesOf('a')).toBeLessThan(4 << 20);
      const { lines } = await runtime.logs.read('a', { linesMax: 1_000 });
      expect(lines.some(({ text }) => text === 'done')).toBe(true);
    });
  });

  it('ends a run for a cause that its people read', async () => {
    await start('a', 'sleep', '300');
    await until('a', 'running');
    await runtime.kill('a', 'its working folder had more than 1 MiB');
    expect((await until('a', 'ended')).exit).toEqual({
      code: null,
      signal: 'SIGKILL',
      cause: 'its working folder had more than 1 MiB',
    });
  });

  whereBound('cpu')('gives no more CPU than the most', async () => {
    const busy = `const end = Date.now() + 2000; while (Date.now() < end); console.log(process.cpuUsage().user)`;
    await runtime.start({
      id: 'busy',
      command: [process.execPath, '-e', busy],
      env: { PATH },
      cwd: '/',
      limits: { ...limits, cpuMillisMax: 200 },
    });
    await until('busy', 'ended');
    const [line] = (await runtime.logs.read('busy', { linesMax: 1 })).lines;
    expect(Number(line?.text)).toBeLessThan(1_000_000);
  });
});
