import { AltoError } from '@alto/contracts';
import { FakeClock } from '@alto/platform';
import { scriptedCommand, ScriptedRuntime } from '../runtime/scripted-runtime';
import { InstanceLogs } from './instance-logs';

describe('InstanceLogs', () => {
  const runtime = new ScriptedRuntime(new FakeClock());
  const logs = new InstanceLogs(runtime.logs);
  const ids = ['ins_aaaaaaaa', 'ins_bbbbbbbb'];
  const lines = (id: string) => Array.from({ length: 5 }, (_, n) => `${id.slice(-1)}${n}`);

  beforeAll(async () => {
    for (const id of ids)
      await runtime.start({ id, command: scriptedCommand({ output: lines(id) }), env: {}, cwd: '/' });
  });

  it('shares a page among the instances, the newest lines of each', async () => {
    const page = await logs.read({ instances: ids, lines: 4 });
    expect(page.lines.map(({ instance, text }) => [instance.slice(-1), text])).toEqual([
      ['a', 'a3'],
      ['a', 'a4'],
      ['b', 'b3'],
      ['b', 'b4'],
    ]);
  });

  it('continues each instance from one cursor', async () => {
    const { cursor } = await logs.read({ instances: ids, lines: 4 });
    expect((await logs.read({ instances: ids, lines: 10, cursor })).lines).toEqual([]);
    await runtime.logs.note(ids[1] ?? '', 'restarted', new Date(0));
    const page = await logs.read({ instances: ids, lines: 10, cursor });
    expect(page.lines).toEqual([
      { instance: ids[1], stream: 'alto', time: '1970-01-01T00:00:00.000Z', text: 'restarted' },
    ]);
    expect((await logs.read({ instances: [...ids].reverse(), lines: 10, cursor: page.cursor })).lines).toEqual([]);
  });

  it('keeps no place of an instance that is not asked for any more', async () => {
    let cursor: string | undefined;
    for (let generation = 0; generation < 200; generation++) {
      const instances = [`ins_${String(generation).padStart(26, '0')}`];
      ({ cursor } = await logs.read({ instances, lines: 100, ...(cursor !== undefined && { cursor }) }));
    }
    expect(cursor).toBe('00000199.0');
  });

  it('has a cursor that fits for as many instances as may be asked', async () => {
    const many = Array.from({ length: 100 }, (_, n) => `ins_${String(n).padStart(26, '0')}`);
    expect((await logs.read({ instances: many, lines: 100 })).cursor.length).toBeLessThan(2_000);
  });

  it.each(['x', '../..', 'a.b~', '{}'])('refuses %s as a cursor', async (cursor) => {
    await expect(logs.read({ instances: ids, lines: 1, cursor })).rejects.toBeInstanceOf(AltoError);
  });
});
