/**
 * Runs the benchmarks of tests/bench, each in a process of its own, built as the services are.
 *
 *   npm run bench                 all
 *   npm run bench -- transport    those whose name holds the word
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './build/bundle.ts';
import { ensureServers } from './servers/ensure.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
// Inside node_modules, so that what the bundle leaves outside is found from there.
const output = join(root, 'node_modules', '.cache', 'alto', 'bench');

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const word = process.argv[2] ?? '';
const names = readdirSync(join(root, 'tests', 'bench')).filter(
  (name) => name.endsWith('.bench.ts') && name.includes(word),
);
if (names.length === 0) {
  console.error(
    `No benchmark's name holds '${word}'. There are: ${readdirSync(join(root, 'tests', 'bench')).join(', ')}`,
  );
  process.exit(1);
}
const servers = await ensureServers({ report: (line) => console.error(line) });
const path = [process.env['PATH'], ...servers.map((server) => dirname(server.path))].join(delimiter);
for (const name of names) {
  const outputDirectory = join(output, name.replace('.bench.ts', ''));
  mkdirSync(outputDirectory, { recursive: true });
  await bundle({
    root,
    outputDirectory,
    entries: { main: join('tests', 'bench', name) },
    // What builds programs for tests.
    external: ['@swc/core', 'esbuild'],
  });
  console.log(`\n── ${name} ──`);
  const bench = spawn(process.execPath, [join(outputDirectory, 'main.mjs')], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: path },
  });
  let isEnded = false;
  // It ends by itself, and whatever it has started before.
  const forward = (signal: NodeJS.Signals) => {
    isEnded = true;
    bench.kill(signal);
  };
  for (const signal of signals) process.on(signal, forward);
  const [status] = (await once(bench, 'exit')) as [number | null];
  for (const signal of signals) process.off(signal, forward);
  if (status !== 0) process.exitCode = 1;
  if (isEnded) break;
}
