import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@alto/testing';
import { z } from 'zod';
import { StateFile, StateFileError } from './state-file';

const schema = z.object({ count: z.number(), text: z.string() });

describe('StateFile', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'alto-state-'));
    path = join(folder, 'state.json');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const make = () => new StateFile({ path, schema, migrations: [] });

  it('reads what was written, and nothing where nothing was', async () => {
    expect(make().load()).toBeUndefined();
    await make().save({ count: 1, text: 'one' });
    expect(make().load()).toEqual({ count: 1, text: 'one' });
  });

  it('writes together what comes during a write, the newest last', async () => {
    const file = make();
    const saves = Array.from({ length: 50 }, (_, count) => file.save({ count, text: 'x' }));
    await Promise.all(saves);
    expect(make().load()?.count).toBe(49);
  });

  it('falls back to the state before when the newest is damaged, and refuses when both are', async () => {
    const file = make();
    await file.save({ count: 1, text: 'one' });
    await file.save({ count: 2, text: 'two' });
    await writeFile(path, (await readFile(path, 'utf8')).replace('two', 'owt'));
    expect(make().load()?.count).toBe(1);
    await writeFile(`${path}.previous`, '');
    expect(() => make().load()).toThrow(StateFileError);
    expect(() => make().load()).toThrow(/Restore .*state\.json/);
  });

  it('migrates an older version, and refuses a newer one', async () => {
    await make().save({ count: 1, text: 'one' });
    const migrated = new StateFile({
      path,
      schema: z.object({ counts: z.array(z.number()) }),
      migrations: [(state) => ({ counts: [schema.parse(state).count] })],
    });
    expect(migrated.load()).toEqual({ counts: [1] });
    await migrated.save({ counts: [1, 2] });
    await rm(`${path}.previous`);
    expect(() => make().load()).toThrow(/version 2/);
  });

  it('holds an old or a new state whenever its writer is killed', async () => {
    const writer = `
      const { StateFile } = await import(${JSON.stringify(join(import.meta.dirname, 'state-file.ts'))});
      const file = new StateFile({ path: ${JSON.stringify(path)}, schema: undefined, migrations: [] });
      for (let count = 1; ; count++) {
        await file.save({ count, text: String(count).repeat(20_000) });
        console.log(count);
      }`;
    const flags = [
      '--experimental-transform-types',
      '--disable-warning=ExperimentalWarning',
      '--input-type=module',
      '-e',
    ];
    let reached = 0;
    for (let kill = 0; kill < 8; kill++) {
      const child = spawn(process.execPath, [...flags, writer], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let confirmed = 0;
      child.stdout.on('data', (data: Buffer) => (confirmed = Number(data.toString().trim().split('\n').at(-1))));
      await eventually(() => expect(confirmed).toBeGreaterThan(2 + kill));
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await ended;
      const state = make().load();
      expect(state?.count).toBeGreaterThanOrEqual(confirmed);
      expect(state?.text).toBe(String(state?.count).repeat(20_000));
      reached += confirmed;
    }
    expect(reached).toBeGreaterThan(8);
  });
});
