/** Runs Jest with what ES modules need, e.g. `node tools/jest.ts --selectProjects unit libs/contracts`. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const jest = fileURLToPath(new URL('../node_modules/jest/bin/jest.js', import.meta.url));
const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', jest];
const result = spawnSync(process.execPath, [...flags, ...process.argv.slice(2)], { stdio: 'inherit' });
process.exit(result.status ?? 1);
