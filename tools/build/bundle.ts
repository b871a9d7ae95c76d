/** A program to one file: esbuild bundles, swc compiles what needs decorator metadata. */
import { readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { transform, type Options as SwcOptions } from '@swc/core';
import { build, type Plugin } from 'esbuild';

/** Packages with a compiled part: copied beside the bundle instead of bundled into it. */
export const nativePackages: readonly string[] = ['@node-rs/crc32'];

export interface BundleRequest {
  /** Root of the repository. */
  root: string;
  /** Folder that receives `<output>.mjs` and its source map for each entry. */
  outputDirectory: string;
  /** TypeScript file to begin with, relative to the root, by the output that it becomes. */
  entries: Readonly<Record<string, string>>;
  /** Packages that are left where they are, to be found from the output. */
  external?: readonly string[];
}

/**
 * All programs at once, since most of what they are made of is the same.
 * @returns what each output imports from outside
 */
export async function bundle({
  root,
  outputDirectory,
  entries,
  external = [],
}: BundleRequest): Promise<Map<string, string[]>> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { ...entries },
    outdir: outputDirectory,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    external: [...external],
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // CommonJS dependencies call `require`, which an ES module does not have.
    banner: { js: requireBanner },
    // Nest and TypeORM go by the names of classes.
    keepNames: true,
    legalComments: 'none',
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    logLevel: 'silent',
    tsconfig: join(root, 'tsconfig.base.json'),
    plugins: [decorators(root), optionalModules()],
  });
  const outputs = Object.entries(metafile.outputs);
  return new Map(
    Object.keys(entries).map((name) => {
      const [, output] = outputs.find(([path]) => path.endsWith(`${name}.mjs`)) ?? [];
      return [name, output?.imports.map(({ path }) => path) ?? []];
    }),
  );
}

const requireBanner = [
  "import{createRequire as altoCreateRequire}from'node:module'",
  "import{dirname as altoDirname}from'node:path'",
  'const require=altoCreateRequire(import.meta.url)',
  'const __filename=import.meta.filename',
  'const __dirname=altoDirname(__filename)',
].join(';');

const swcOptions: SwcOptions = {
  configFile: false,
  swcrc: false,
  sourceMaps: 'inline',
  module: { type: 'es6' },
  jsc: {
    target: 'es2024',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    keepClassNames: true,
  },
};

/** esbuild emits no decorator metadata, on which Nest and TypeORM rely: files with decorators go through swc first. */
function decorators(root: string): Plugin {
  return {
    name: 'decorators',
    setup(setup) {
      setup.onLoad({ filter: /[\\/](apps|libs|tests)[\\/].*\.ts$/ }, async ({ path }) => {
        if (!path.startsWith(root) || path.includes('node_modules')) return undefined;
        const source = await readFile(path, 'utf8');
        if (!/^\s*@[A-Za-z]|[(,]\s*@[A-Z]/m.test(source)) return { contents: source, loader: 'ts' };
        const { code } = await transform(source, { ...swcOptions, filename: path });
        return { contents: code, loader: 'js' };
      });
    },
  };
}

/** Dependencies try to load peers that may be absent (`pg-native`, other databases' drivers): those stay outside. */
function optionalModules(): Plugin {
  const builtin = new Set(builtinModules);
  return {
    name: 'optional-modules',
    setup(setup) {
      setup.onResolve({ filter: /^[^./]/ }, async (request) => {
        const { path, importer, kind, resolveDir, pluginData } = request;
        if (pluginData === 'resolving' || path.startsWith('node:') || builtin.has(path)) return undefined;
        if (nativePackages.includes(path)) return { path, external: true };
        if (!importer.includes('node_modules')) return undefined;
        const found = await setup.resolve(path, { importer, kind, resolveDir, pluginData: 'resolving' });
        return found.errors.length > 0 ? { path, external: true } : found;
      });
    },
  };
}
