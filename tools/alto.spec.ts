/** The script `alto` of a clone that has been built, with what it prepares and the command itself stood in for. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

let clone: string;

function write(path: string, text: string): void {
  mkdirSync(join(clone, dirname(path)), { recursive: true });
  writeFileSync(join(clone, path), text);
}

beforeAll(() => {
  clone = mkdtempSync(join(tmpdir(), 'alto-clone-'));
  const program = join(clone, 'dist/releases/cli/1/main.mjs');
  const prepared = JSON.stringify({ program, settings: { ALTO_BUBBLEWRAP: 'bwrap' } });
  write('package.json', '{ "type": "module" }');
  write('package-lock.json', '{}');
  write('node_modules/.alto-installed', createHash('sha256').update('{}').digest('hex'));
  write('dist/releases/cli/current', '1');
  write(
    'dist/releases/cli/1/main.mjs',
    `import { text } from 'node:stream/consumers';
export async function run(argv) {
  console.log(JSON.stringify({ argv, bubblewrap: process.env.ALTO_BUBBLEWRAP, input: await text(process.stdin) }));
}
if (process.argv[1] === import.meta.filename) await run(process.argv.slice(2));`,
  );
  write('tools/prepare.ts', `console.log(${JSON.stringify(prepared)});`);
  for (const path of ['alto', 'tools/with-runtime.mjs', 'tools/alto.ts', 'tools/command.ts'])
    copyFileSync(path, join(clone, path));
  mkdirSync(join(clone, 'node_modules/node/bin'), { recursive: true });
  symlinkSync(process.execPath, join(clone, 'node_modules/node/bin/node'));
});

afterAll(() => rmSync(clone, { recursive: true, force: true }));

it.each([
  ['up --detach', 'bwrap'],
  ['join', 'bwrap'],
  ['--data-dir there join', 'bwrap'],
  ['apps list', undefined],
])('alto %s is run with what was prepared for it: %s', (typed, bubblewrap) => {
  const argv = typed.split(' ');
  const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` };
  const { stdout, stderr } = spawnSync(join(clone, 'alto'), argv, { input: 'a token\n', env, encoding: 'utf8' });
  expect({ said: JSON.parse(stdout || '{}') as unknown, stderr }).toEqual({
    said: { argv, ...(bubblewrap !== undefined && { bubblewrap }), input: 'a token\n' },
    stderr: '',
  });
});
