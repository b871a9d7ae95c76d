import { execFile } from 'node:child_process';

/** Runs a program to its end. @returns what it wrote, both streams. @throws Error with the last of it. */
export function run(command: readonly string[], options: { cwd?: string; timeoutMs?: number } = {}): Promise<string> {
  const [program, ...args] = command as [string, ...string[]];
  const { cwd, timeoutMs = 300_000 } = options;
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, env, timeout: timeoutMs, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout + stderr);
      const said = (stderr || stdout || error.message).trim().split('\n').slice(-3).join(' ');
      reject(new Error(`\`${program} ${args.join(' ')}\` failed: ${said}`));
    });
  });
}
