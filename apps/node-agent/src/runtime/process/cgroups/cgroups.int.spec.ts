/** On folders that look like cgroup 2 as the kernel shows it: the machine that runs this may have either version. */
import { existsSync, mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cgroups } from './cgroups';

const limits = {
  memoryBytes: 1 << 26,
  cpuMillis: 100,
  cpuMillisMax: 1_000,
  processesMax: 64,
  logBytesPerSecond: 1 << 20,
};

describe('Cgroups over cgroup 2', () => {
  let mount: string;
  beforeEach(() => {
    mount = mkdtempSync(join(tmpdir(), 'alto-cgroups-'));
  });
  afterEach(() => rmSync(mount, { recursive: true, force: true }));

  it('hands the controls on to the group of Alto, and puts a run there', () => {
    const own = join(mount, 'system.slice');
    mkdirSync(own);
    const cgroups = Cgroups.find('alto-x', { separate: new Map(), unified: { mount, folder: own } });
    expect([...(cgroups?.controls ?? [])]).toEqual(['memory', 'cpu', 'pids']);
    expect(readFileSync(join(own, 'cgroup.subtree_control'), 'utf8')).toBe('+pids');
    const run = join(own, 'alto-x', 'inst.1');
    mkdirSync(run);
    for (const file of ['memory.max', 'pids.max']) writeFileSync(join(run, file), 'max');
    const group = cgroups?.enter('inst.1', 4711, limits);
    expect(group?.record).toBe(run);
    expect(group?.members()).toEqual([4711]);
    expect(readdirSync(run).map((file) => [file, readFileSync(join(run, file), 'utf8')])).toEqual(
      expect.arrayContaining([
        ['memory.max', '67108864'],
        ['pids.max', '64'],
      ]),
    );
    group?.forbidForks();
    expect(readFileSync(join(run, 'pids.max'), 'utf8')).toBe('0');
  });

  it('takes no control from a group with processes: the kernel would let none into those below it', () => {
    const own = join(mount, 'container');
    mkdirSync(own);
    writeFileSync(join(own, 'cgroup.type'), 'domain\n');
    writeFileSync(join(own, 'cgroup.procs'), '1\n4711\n');
    const cgroups = Cgroups.find('alto-x', { separate: new Map(), unified: { mount: own, folder: own } });
    expect([...(cgroups?.controls ?? ['no groups'])]).toEqual([]);
    expect(existsSync(join(own, 'cgroup.subtree_control'))).toBe(false);
    expect(cgroups?.enter('inst.1', 4711, limits)?.members()).toEqual([4711]);
  });

  it('hands the controls on again when the group of Alto has gone with its last run', () => {
    const cgroups = Cgroups.find('alto-x', { separate: new Map(), unified: { mount, folder: mount } });
    cgroups?.enter('inst.1', 4711, limits);
    rmSync(join(mount, 'alto-x'), { recursive: true });
    cgroups?.enter('inst.2', 4712, limits);
    expect(readFileSync(join(mount, 'alto-x', 'cgroup.subtree_control'), 'utf8')).toBe('+pids');
  });

  it('reads what happened to a run', () => {
    const cgroups = Cgroups.find('alto-x', { separate: new Map(), unified: { mount, folder: mount } });
    const group = cgroups?.enter('inst.1', 1, limits);
    expect([group?.memoryKills(), group?.refusedForks()]).toEqual([0, 0]);
    const run = join(mount, 'alto-x', 'inst.1');
    writeFileSync(join(run, 'memory.events'), 'low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n');
    writeFileSync(join(run, 'pids.events'), 'max 17\n');
    expect([group?.memoryKills(), group?.refusedForks()]).toEqual([1, 17]);
  });

  it('is not had where no group can be made', () => {
    const file = join(mount, 'file');
    writeFileSync(file, '');
    const own = { mount: file, folder: file };
    expect(Cgroups.find('alto-x', { separate: new Map(), unified: own })).toBeUndefined();
  });
});
