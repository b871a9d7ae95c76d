import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LogFiles } from '../runtime/process/log-files';
import { InstanceLogs } from './instance-logs';

describe('pages of logs in files', () => {
  const instances = ['ins_aaaaaaaa', 'ins_bbbbbbbb'];
  const text = (id: string, n: number) => `${id} ${n} ${['\u0001', 'é', '"'][n % 3]!.repeat((n * 31) % 8_000)}`;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'alto-logs-'));
    for (const id of instances)
      await writeFile(join(folder, id), Array.from({ length: 1_000 }, (_, n) => `${text(id, n)}\n`).join(''));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('hold each line once and in order, however many bytes it takes', async () => {
    const logs = new InstanceLogs(new LogFiles((id) => join(folder, id)));
    const bytes = 200_000;
    const seen = new Map<string, string[]>(instances.map((id) => [id, []]));
    let page = await logs.read({ instances, lines: 1_000, bytes, cursor: 'aaaaaaaa.0~bbbbbbbb.0' });
    while (page.lines.length > 0) {
      expect(Buffer.byteLength(JSON.stringify(page.lines))).toBeLessThanOrEqual(bytes + 2);
      for (const line of page.lines) seen.get(line.instance)!.push(line.text);
      page = await logs.read({ instances, lines: 1_000, bytes, cursor: page.cursor });
    }
    for (const id of instances) expect(seen.get(id)).toEqual(Array.from({ length: 1_000 }, (_, n) => text(id, n)));
  });
});
