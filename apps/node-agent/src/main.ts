import { runAgentProcess } from './agent-process';
import { makeFirstStart } from './first-start';

await runAgentProcess(makeFirstStart);
