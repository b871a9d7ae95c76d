/**
 * What failed, in few lines. Who runs the tests elsewhere is often shown the end of their output alone: it has to be
 * understood from there.
 */
import { isAbsolute, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** As Jest reports a file of tests. */
export interface TestFile {
  readonly name: string;
  readonly status: string;
  /** Why the file could not run, or all that was printed of its failures. */
  readonly message: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages: readonly string[];
  }[];
}

const linesMost = 15;
const columnsMost = 300;
/** Of what two long lines have in common, before their difference. */
const columnsBeforeDifference = 80;

/** Each failed test with the first lines of its first error; what fails a file outside its tests is one failure. */
export function failuresOf(files: readonly TestFile[], root: string): string[] {
  return files
    .filter(({ status }) => status === 'failed')
    .flatMap((file) => {
      const path = relative(root, file.name);
      const failed = file.assertionResults.filter(({ status }) => status === 'failed');
      if (failed.length === 0) return [`✕ ${path} outside its tests\n    ${told(file.message, root, path)}`];
      const byError = Map.groupBy(failed, ({ failureMessages }) => told(failureMessages[0] ?? '', root, path));
      return [...byError].map(([error, tests]) => {
        const others = tests.length > 1 ? ` (and ${tests.length - 1} more)` : '';
        return `✕ ${path} › ${tests[0]!.fullName}${others}\n    ${error}`;
      });
    });
}

function told(message: string, root: string, path: string): string {
  const lines = stripVTControlCharacters(message)
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
  const isFrame = (line: string) => /^\s+at /.test(line);
  const frames = lines.filter((line) => isFrame(line) && isOwn(line, root));
  // Where the test stood, before where what it called did.
  const place = frames.find((line) => line.includes(path)) ?? frames[0];
  const telling = mostTelling(lines.filter((line) => !isFrame(line)));
  return [...telling, ...(place === undefined ? [] : [place.trim().replace(`${root}/`, '')])].join('\n    ');
}

function isOwn(frame: string, root: string): boolean {
  const path = /([^\s(]+):\d+:\d+\)?$/.exec(frame)?.[1]?.replace('file://', '') ?? '';
  return (
    (!isAbsolute(path) || path.startsWith(`${root}/`)) && !path.includes('node_modules') && !path.includes('node:')
  );
}

/** Of a long comparison what differs, and of long lines where they do. */
function mostTelling(lines: readonly string[]): string[] {
  const changed = lines.filter((line) => /^\s*[-+] /.test(line));
  const removed = changed.filter((line) => line.trimStart().startsWith('-'));
  const added = changed.filter((line) => line.trimStart().startsWith('+'));
  const short = (line: string) => {
    if (line.length <= columnsMost) return line;
    const at = Math.max(removed.indexOf(line), added.indexOf(line));
    const from = at < 0 ? 0 : Math.max(0, sameUntil(removed[at] ?? '', added[at] ?? '') - columnsBeforeDifference);
    const start = from === 0 ? '' : `${line.slice(0, 8)}…`;
    const end = line.length > from + columnsMost ? '…' : '';
    return start + line.slice(from, from + columnsMost) + end;
  };
  const most = linesMost - 1; // and the place
  if (lines.length <= most) return lines.map(short);
  const head = lines.slice(0, 3);
  const rest = (changed.length > 2 ? changed : lines).filter((line) => !head.includes(line));
  return [...head, ...rest].slice(0, most).map(short);
}

function sameUntil(one: string, other: string): number {
  const sign = /[-+]/;
  const [left, right] = [one.replace(sign, ' '), other.replace(sign, ' ')];
  let at = 0;
  while (at < Math.min(left.length, right.length) && left[at] === right[at]) at++;
  return at;
}
