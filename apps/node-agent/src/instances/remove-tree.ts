/**
 * Removes a folder and all in it, also what an app has nested deeper than any path is long: these programs go from
 * folder to folder.
 */
import { spawn } from 'node:child_process';

/** Of what a program says, the first of what may be a line for each file. */
const COMPLAINT_CHARACTERS_MAX = 300;

/** @throws Error that names the first file that stays */
export async function removeTree(folder: string): Promise<void> {
  if ((await run('rm', '-rf', '--', folder)) === null) return;
  // Its owner may have taken the right to write in a folder from itself, which only root does not mind.
  await run('chmod', '-R', 'u+rwX', '--', folder);
  const problem = await run('rm', '-rf', '--', folder);
  if (problem !== null) throw new Error(`${folder} cannot be removed: ${problem}`);
}

/** @returns what it complained about, null when it went well. A program killed for talking too much would be half done. */
async function run(program: string, ...args: string[]): Promise<string | null> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = `${complaint}${text}`.slice(0, COMPLAINT_CHARACTERS_MAX);
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once('error', reject);
  child.once('close', resolve);
  const code = await promise;
  return code === 0 ? null : complaint.split('\n', 1)[0] || `${program} ended with ${code}`;
}
