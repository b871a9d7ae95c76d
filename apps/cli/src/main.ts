import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run } from './program';

export { run };

// The tools of this repository import `run`; everybody else runs this file.
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await run(process.argv.slice(2));
}
