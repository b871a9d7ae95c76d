// Runs a tool of this repository on the pinned Node, whatever Node started npm.
//
//   node tools/with-runtime.mjs tools/test.ts [args…]
//
// Installs the dependencies when package-lock.json has changed since the last
// installation. Written for any Node from 18 on, since it runs before the pinned one is there.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.alto-installed');
const runtime = join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');

function lockDigest() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function install() {
  const digest = lockDigest();
  if (existsSync(runtime) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  process.stderr.write('Installing dependencies (npm ci) …\n');
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) {
    process.stderr.write('npm ci failed; its messages stand above. Alto needs npm 10 or newer and the npm registry.\n');
    process.exit(result.status ?? 1);
  }
  writeFileSync(stamp, digest);
}

function run(tool, args) {
  const path = [dirname(runtime), join(modules, '.bin'), process.env.PATH].join(delimiter);
  const child = spawn(runtime, [tool, ...args], { stdio: 'inherit', env: { ...process.env, PATH: path } });
  // The terminal signals the whole process group: the child decides what a Ctrl-C means.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

install();
const [tool, ...args] = process.argv.slice(2);
run(tool, args);
