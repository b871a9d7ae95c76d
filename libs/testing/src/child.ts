/**
 * A TypeScript module run as a process of its own, for tests that kill, freeze or race whole processes. It talks to its
 * test by messages (`process.send`, `process.on('message')`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transform } from '@swc/core';
import { build, type Plugin } from 'esbuild';
import { eventually, type EventuallyOptions } from './eventually';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Builds the module once; any number of processes can run it. Call `remove` at the end. */
export async function buildChild(entry: URL): Promise<ChildProgram> {
  // Inside node_modules, so that packages resolve as they do for the sources.
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'alto-child-'));
  const outfile = join(folder, 'main.mjs');
  await build({
    entryPoints: [fileURLToPath(entry)],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'inline',
    tsconfig: join(root, 'tsconfig.base.json'),
    logLevel: 'silent',
    plugins: [decorators],
  });
  return new ChildProgram(folder, outfile);
}

/** esbuild emits no decorator metadata, on which Nest and TypeORM rely: files with decorators go through swc first. */
const decorators: Plugin = {
  name: 'decorators',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/](apps|libs)[\\/].*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      if (!/^\s*@[A-Za-z]|[(,]\s*@[A-Z]/m.test(source)) return { contents: source, loader: 'ts' };
      const { code } = await transform(source, {
        filename: path,
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
      });
      return { contents: code, loader: 'js' };
    });
  },
};

export class ChildProgram {
  private readonly children: Child[] = [];

  constructor(
    private readonly folder: string,
    /** Its source as one file, which needs its packages around it. */
    readonly file: string,
  ) {}

  /** @param input reaches the module as JSON in `process.argv[2]` */
  start(input: unknown): Child {
    const child = new Child(this.file, input);
    this.children.push(child);
    return child;
  }

  async remove(): Promise<void> {
    await Promise.all(this.children.map((child) => child.kill()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class Child {
  /** Everything the process has said, in order. */
  readonly messages: Record<string, unknown>[] = [];
  private readonly process: ChildProcess;
  private errors = '';

  constructor(file: string, input: unknown) {
    this.process = spawn(process.execPath, [file, JSON.stringify(input)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // What is loaded again and again is compiled once.
      env: { ...process.env, NODE_COMPILE_CACHE: join(dirname(file), 'compiled') },
    });
    this.process.stderr?.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
    this.process.on('message', (message) => this.messages.push(message as Record<string, unknown>));
  }

  get exited(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  get exitCode(): number | null {
    return this.process.exitCode;
  }

  tell(message: Record<string, unknown>): void {
    // One that has just died hears nothing, and whoever waits for its answer finds out.
    this.process.send(message, () => {});
  }

  /** The first message that has these fields, once it has come. */
  said(fields: Record<string, unknown>, options?: EventuallyOptions): Promise<Record<string, unknown>> {
    return eventually(() => {
      const found = this.messages.find((message) =>
        Object.entries(fields).every(([key, value]) => message[key] === value),
      );
      if (found !== undefined) return found;
      throw new Error(`The process has not said ${JSON.stringify(fields)}. ${this.errors}`);
    }, options);
  }

  pause(): void {
    this.process.kill('SIGSTOP');
  }

  resume(): void {
    this.process.kill('SIGCONT');
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    if (this.exited) return;
    const exit = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await exit;
  }
}
