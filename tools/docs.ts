/**
 * Writes what is generated from the sources: the golden contracts, docs/configuration.md, docs/api.md, docs/app-file.md
 * and the JSON schema of alto.yaml.
 *
 *   npm run docs            writes
 *   npm run docs -- --check fails when a file is not what it would write
 *
 * Refuses to write golden contracts that break an older caller: declare a new version of the operation instead.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import type { GeneratedFile } from './docs/generate.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const bundle = join(root, 'node_modules', '.cache', 'alto', 'docs.mjs');

async function generate(): Promise<{ files: GeneratedFile[]; problems: string[] }> {
  mkdirSync(dirname(bundle), { recursive: true });
  await build({
    entryPoints: [join(root, 'tools', 'docs', 'generate.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    alias: Object.fromEntries(
      ['contracts', 'platform'].map((lib) => [`@alto/${lib}`, join(root, `libs/${lib}/src/index.ts`)]),
    ),
    tsconfig: join(root, 'tsconfig.base.json'),
    logLevel: 'error',
  });
  try {
    const { generatedFiles } = (await import(pathToFileURL(bundle).href)) as typeof import('./docs/generate.ts');
    const goldenPath = join(root, 'libs/contracts/contracts.golden.json');
    return generatedFiles(existsSync(goldenPath) ? readFileSync(goldenPath, 'utf8') : undefined);
  } finally {
    rmSync(bundle, { force: true });
  }
}

const check = process.argv.includes('--check');
const { files, problems } = await generate();
if (problems.length > 0) {
  console.error(
    `These changes would break older callers; declare a new version of the operation instead:\n  ${problems.join('\n  ')}`,
  );
  process.exit(1);
}
const formatted = files.map(({ path, text }) => ({ path, text: prettier(path, text) }));
const stale = formatted.filter(
  ({ path, text }) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
);
if (check && stale.length > 0) {
  console.error(`Out of date: ${stale.map(({ path }) => path).join(', ')}. Run: npm run docs`);
  process.exit(1);
}
for (const { path, text } of stale) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  console.log(`wrote ${path}`);
}

function prettier(path: string, text: string): string {
  const program = join(root, 'node_modules', 'prettier', 'bin', 'prettier.cjs');
  return execFileSync(process.execPath, [program, '--stdin-filepath', path], {
    cwd: root,
    input: text,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
}
