import { runAgentProcess } from './agent-process';
import type { NodeAgentConfig } from './config';
import { externalStart, runBootstrap } from './compose';
import { makeFirstStart, type FirstStart } from './first-start';
import { joinedStart, joins } from './join';

const [command, ...args] = process.argv.slice(2);
if (command === 'bootstrap') process.exitCode = await runBootstrap(args);
else await runAgentProcess(firstStartOf);

function firstStartOf(config: NodeAgentConfig): FirstStart {
  if (config.ALTO_SERVICES === 'external') return externalStart;
  const first = makeFirstStart(config);
  return (directory, ...more) => (joins(directory) ? joinedStart : first)(directory, ...more);
}
