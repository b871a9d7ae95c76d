import { runAgentProcess } from './agent-process';
import { externalStart, runBootstrap } from './compose';
import { makeFirstStart } from './first-start';

const [command, ...args] = process.argv.slice(2);
if (command === 'bootstrap') process.exitCode = await runBootstrap(args);
else await runAgentProcess((config) => (config.ALTO_SERVICES === 'external' ? externalStart : makeFirstStart(config)));
