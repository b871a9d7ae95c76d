import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { complaintsIn } from './kept-logs';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-kept-logs-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function keep(name: string, atSeconds: number, ...lines: string[]): void {
  writeFileSync(join(folder, name), `${lines.join('\n')}\n`);
  utimesSync(join(folder, name), atSeconds, atSeconds);
}

it('tells the last complaints of each log that was kept meanwhile, and of no other', () => {
  const error = (number: number) => `{"level":"error","msg":"number ${number}"}`;
  keep('gateway.log', 100, '{"level":"info","msg":"Ready"}', error(1), error(2), error(3));
  keep('postgres.log.log', 100, '2026 UTC [1] LOG:  ready', '2026 UTC [1] FATAL:  sorry, too many clients already');
  keep('nats.log', 100, '[1] 2026/11/22 [INF] Server is ready', '[1] 2026/11/22 [ERR] authentication error');
  keep('hello.log', 100, 'alto 2026-11-22T05:50:31Z Ended with code 0', 'alto 2026-11-22T05:50:31Z Ended with code 3');
  keep('earlier.log', 10, error(4));
  expect(complaintsIn(folder, 50_000, 150_000)).toEqual([
    `gateway: ${error(2)}`,
    `gateway: ${error(3)}`,
    'hello: alto 2026-11-22T05:50:31Z Ended with code 3',
    'nats: [1] 2026/11/22 [ERR] authentication error',
    'postgres: 2026 UTC [1] FATAL:  sorry, too many clients already',
  ]);
});

it('is short, whatever was kept, and says nothing where nothing was', () => {
  for (let count = 10; count < 90; count++)
    keep(`log-${count}.log`, 100, `{"level":"warn","msg":"${'x'.repeat(900)}"}`);
  const told = complaintsIn(folder, 0, 150_000);
  expect(told).toHaveLength(24);
  expect(Math.max(...told.map((line) => line.length))).toBeLessThan(320);
  expect(complaintsIn(join(folder, 'nowhere'), 0, 150_000)).toEqual([]);
});
