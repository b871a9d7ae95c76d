/** What servers said in the logs that a failed test has kept: their last complaints, for who cannot read the files. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const linesEach = 2;
const linesMost = 24;
const columnsMost = 300;
/** Of Alto's own logs (JSON), PostgreSQL, nats-server, HAProxy, and what ends or is killed. */
const complaint =
  /"level":"(warn|error|fatal)"|\b(ERROR|FATAL|PANIC):|\[(WRN|ERR|FTL)\]|\[ALERT\]|^alto \S+ (Ended with (?!code 0$)|.*[Kk]illed)/;

/** @returns lines with the log's name before them, of the logs kept between two times in milliseconds */
export function complaintsIn(folder: string, fromMs: number, untilMs: number): string[] {
  if (!existsSync(folder)) return [];
  const kept = readdirSync(folder)
    .map((name) => ({ name, path: join(folder, name) }))
    .filter(({ path }) => {
      const { mtimeMs } = statSync(path);
      return mtimeMs >= fromMs && mtimeMs <= untilMs;
    });
  const said = kept.flatMap(({ name, path }) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => complaint.test(line))
      .slice(-linesEach)
      .map((line) => `${name.replace(/(\.log)+$/, '')}: ${line.slice(0, columnsMost)}`),
  );
  return said.slice(0, linesMost);
}
