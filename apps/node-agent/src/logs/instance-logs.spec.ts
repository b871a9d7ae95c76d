import { AltoError, logPageBytesMax, nodeAgentOperations, type RequestOf } from '@alto/contracts';
import { FakeClock } from '@alto/platform';
import { scriptedCommand, ScriptedRuntime } from '../runtime/scripted-runtime';
import { InstanceLogs } from './instance-logs';

describe('InstanceLogs', () => {
  const runtime = new ScriptedRuntime(new FakeClock());
  const logs = new InstanceLogs(runtime.logs);
  const read = (request: RequestOf<typeof nodeAgentOperations.logs.read>) =>
    logs.read(nodeAgentOperations.logs.read.input.parse(request));
  const ids = ['ins_aaaaaaaa', 'ins_bbbbbbbb'];
  const lines = (id: string) => Array.from({ length: 5 }, (_, n) => `${id.slice(-1)}${n}`);

  beforeAll(async () => {
    for (const id of ids)
      await runtime.start({ id, command: scriptedCommand({ output: lines(id) }), env: {}, cwd: '/' });
  });

  it('shares a page among the instances, the newest lines of each', async () => {
    const page = await read({ instances: ids, lines: 4 });
    expect(page.lines.map(({ instance, text }) => [instance.slice(-1), text])).toEqual([
      ['a', 'a3'],
      ['a', 'a4'],
      ['b', 'b3'],
      ['b', 'b4'],
    ]);
  });

  it('continues each instance from one cursor', async () => {
    const { cursor } = await read({ instances: ids, lines: 4 });
    expect((await read({ instances: ids, lines: 10, cursor })).lines).toEqual([]);
    await runtime.logs.note(ids[1] ?? '', 'restarted', new Date(0));
    const page = await read({ instances: ids, lines: 10, cursor });
    expect(page.lines).toEqual([
      { instance: ids[1], stream: 'alto', time: '1970-01-01T00:00:00.000Z', text: 'restarted' },
    ]);
    expect((await read({ instances: [...ids].reverse(), lines: 10, cursor: page.cursor })).lines).toEqual([]);
  });

  it('keeps no place of an instance that is not asked for any more', async () => {
    let cursor: string | undefined;
    for (let generation = 0; generation < 200; generation++) {
      const instances = [`ins_${String(generation).padStart(26, '0')}`];
      ({ cursor } = await read({ instances, lines: 100, ...(cursor !== undefined && { cursor }) }));
    }
    expect(cursor).toBe('00000199.0');
  });

  it('has a cursor that fits for as many instances as may be asked', async () => {
    const many = Array.from({ length: 100 }, (_, n) => `ins_${String(n).padStart(26, '0')}`);
    expect((await read({ instances: many, lines: 100 })).cursor.length).toBeLessThan(2_000);
  });

  it.each(['x', '../..', 'a.b~', '{}'])('refuses %s as a cursor', async (cursor) => {
    await expect(read({ instances: ids, lines: 1, cursor })).rejects.toBeInstanceOf(AltoError);
  });

  describe('of lines that are long, or take more bytes than characters', () => {
    const talkative = ['ins_cccccccc', 'ins_dddddddd'];
    const text = (id: string, n: number) =>
      `${id} ${n} ${['\u0001\u001b', '\ufffd', '"\\', 'x'][n % 4]!.repeat((n * 37) % 2_000)}`;
    const output = (id: string) => Array.from({ length: 1_000 }, (_, n) => text(id, n));
    const bytesOf = (lines: unknown) => Buffer.byteLength(JSON.stringify(lines));

    beforeAll(async () => {
      for (const id of talkative)
        await runtime.start({ id, command: scriptedCommand({ output: output(id) }), env: {}, cwd: '/' });
    });

    it.each([logPageBytesMax, 20_000])(
      'follows all of it once and in order, %s bytes at most at a time',
      async (bytes) => {
        let page = await read({ instances: talkative, lines: 1_000, bytes, cursor: 'cccccccc.0~dddddddd.0' });
        const seen = new Map<string, string[]>(talkative.map((id) => [id, []]));
        while (page.lines.length > 0) {
          expect(bytesOf(page.lines)).toBeLessThanOrEqual(bytes + 2);
          for (const line of page.lines) seen.get(line.instance)!.push(line.text);
          page = await read({ instances: talkative, lines: 1_000, bytes, cursor: page.cursor });
        }
        // A line that is longer than the share of one instance is cut.
        const isShown = (id: string) => (line: string, n: number) =>
          line === text(id, n) || (bytesOf(text(id, n)) > bytes / 2 - 200 && text(id, n).startsWith(line));
        for (const id of talkative) {
          expect(seen.get(id)).toHaveLength(1_000);
          expect(seen.get(id)!.every(isShown(id))).toBe(true);
        }
      },
    );

    it('ends with the newest lines that fit, and goes on behind them', async () => {
      const page = await read({ instances: talkative, lines: 1_000, bytes: 100_000 });
      expect(bytesOf(page.lines)).toBeLessThanOrEqual(100_002);
      expect(page.lines.findLast(({ instance }) => instance === talkative[0])?.text).toBe(text(talkative[0]!, 999));
      expect(page.lines.at(-1)?.text).toBe(text(talkative[1]!, 999));
      expect((await read({ instances: talkative, lines: 1_000, cursor: page.cursor })).lines).toEqual([]);
    });

    it('gives those after one that writes much their share', async () => {
      const page = await read({ instances: talkative, lines: 1_000, bytes: 20_000, cursor: 'cccccccc.0~dddddddd.0' });
      expect(new Set(page.lines.map(({ instance }) => instance))).toEqual(new Set(talkative));
    });
  });
});
