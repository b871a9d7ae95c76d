import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const repository = fileURLToPath(new URL('../..', import.meta.url));

interface Release {
  version: string;
  directory: string;
  cached: boolean;
}

describe('building releases', () => {
  let root: string;

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'alto-build-'));
    for (const folder of ['apps/demo/src', 'apps/demo/assets', 'libs/none', 'tools'])
      mkdirSync(join(root, folder), { recursive: true });
    for (const file of ['package-lock.json', 'tsconfig.base.json', 'tools/build'])
      cpSync(join(repository, file), join(root, file), { recursive: true });
    symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
    writeFileSync(join(root, 'apps/demo/package.json'), '{ "name": "@alto/demo", "version": "1.2.3" }');
    writeFileSync(join(root, 'apps/demo/assets/words.txt'), 'from an asset');
    writeMain('first');
  });

  afterAll(() => rmSync(root, { recursive: true, force: true }));

  /** Decorator metadata, a native package and an asset: what plain bundling would lose. */
  function writeMain(word: string): void {
    writeFileSync(
      join(root, 'apps/demo/src/main.ts'),
      `import 'reflect-metadata';
       import { readFileSync } from 'node:fs';
       import { crc32c } from '@node-rs/crc32';
       class Dependency {}
       const mark = (target: object) => void target;
       @mark class Subject { constructor(readonly dependency: Dependency) {} }
       const [type] = Reflect.getMetadata('design:paramtypes', Subject) as { name: string }[];
       const text = readFileSync(new URL('./assets/words.txt', import.meta.url), 'utf8');
       process.stdout.write(['${word}', type?.name, crc32c('x'), text].join(' '));`,
    );
  }

  /** In a process of its own: esbuild does not work inside Jest's environment. */
  async function build(): Promise<Release> {
    const module = pathToFileURL(join(repository, 'tools/build/releases.ts')).href;
    const script = `const { buildReleases } = await import(${JSON.stringify(module)});
      console.log(JSON.stringify(await buildReleases({ root: ${JSON.stringify(root)} })));`;
    const { stdout } = await execute(process.execPath, ['--input-type=module', '-e', script]);
    return (JSON.parse(stdout) as Release[])[0] as Release;
  }

  it('names a release after its content, and leaves it alone until that changes', async () => {
    const first = await build();
    expect(first).toMatchObject({ cached: false, version: expect.stringMatching(/^1\.2\.3-[0-9a-f]{8}$/) });
    expect(await build()).toMatchObject({ version: first.version, cached: true });

    writeFileSync(join(root, 'apps/demo/src/extra.spec.ts'), 'throw new Error("tests are not built");');
    expect(await build()).toMatchObject({ cached: true });

    writeMain('second');
    const second = await build();
    expect(second.version).not.toBe(first.version);
    expect(existsSync(first.directory)).toBe(true);
    writeMain('first');
    expect((await build()).version).toBe(first.version);
    expect(readFileSync(join(root, 'dist/releases/demo/current'), 'utf8').trim()).toBe(first.version);
  });

  it('runs from anywhere, with metadata, native parts and assets', async () => {
    const { directory } = await build();
    const elsewhere = mkdtempSync(join(tmpdir(), 'alto-release-'));
    try {
      cpSync(directory, elsewhere, { recursive: true });
      const { stdout } = await execute(process.execPath, [join(elsewhere, 'main.mjs')]);
      expect(stdout).toMatch(/^first Dependency \d+ from an asset$/);
    } finally {
      rmSync(elsewhere, { recursive: true, force: true });
    }
  });
});
