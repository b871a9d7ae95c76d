/** The `alto` command as it was just built, run in this process with the settings that say where servers and releases lie. */
import { execFile } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Prepared } from './prepare.ts';

/** @returns the exit code */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const { program, settings } = await prepared();
  for (const [name, value] of Object.entries(settings)) process.env[name] ??= value;
  const { run } = (await import(pathToFileURL(program).href)) as { run: (argv: readonly string[]) => Promise<number> };
  return await run(argv);
}

/** In a process of its own: the compilers would stay in memory for as long as Alto runs in the foreground. */
async function prepared(): Promise<Prepared> {
  const script = fileURLToPath(new URL('./prepare.ts', import.meta.url));
  const child = promisify(execFile)(process.execPath, [script], { maxBuffer: 16 << 20 });
  child.child.stderr?.pipe(process.stderr);
  try {
    return JSON.parse((await child).stdout) as Prepared;
  } catch (error) {
    // It has said why.
    process.exit(Number((error as { code?: unknown }).code) || 1);
  }
}
