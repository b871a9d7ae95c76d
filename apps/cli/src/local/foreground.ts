/** Alto in the foreground: one status line until Ctrl-C, then an orderly stop. */
import { setTimeout } from 'node:timers/promises';
import type { Output } from '../output';
import { type AgentStatus, appInstances, isWell, type LocalAgent, ownWorkloads } from './agent';

const refreshMs = 1_000;
/** Looks at an agent that does not answer: one that is only being replaced, or begins, is there by then. */
const missingMost = 10;

/** @param interrupted from before Alto was started: it is stopped in order from wherever it is then */
export async function stayInForeground(agent: LocalAgent, output: Output, interrupted: AbortSignal): Promise<void> {
  if (!interrupted.aborted) {
    output.note(output.paint('dim', 'Ctrl-C stops Alto.'));
    if (await watch(agent, output, interrupted)) {
      output.note('Alto was stopped from elsewhere.');
      return;
    }
  }
  output.note('Stopping …');
  if (!(await untilPrepared(agent, output))) {
    output.note('Nothing of it runs any more.');
    return;
  }
  await agent.down((message) => output.note(output.paint('dim', `  ${message}`)));
  output.note('Alto has stopped. Its data stays; the next start goes on from here.');
}

/**
 * What an agent prepares once, as its databases, is let finish: half of it would be in the way of the next start.
 * @returns whether there is an agent to stop
 */
async function untilPrepared(agent: LocalAgent, output: Output): Promise<boolean> {
  let missing = 0;
  for (;;) {
    const status = await agent.status().catch(() => undefined);
    if (status !== undefined && status.phase !== 'preparing') return true;
    missing = status === undefined ? missing + 1 : 0;
    if (missing >= missingMost) return false;
    if (status !== undefined) output.status('What has been begun is finished first …');
    await setTimeout(refreshMs);
  }
}

/** @returns whether the agent went away by itself. An agent that is only being replaced is waited for. */
async function watch(agent: LocalAgent, output: Output, signal: AbortSignal): Promise<boolean> {
  let missing = 0;
  while (!signal.aborted) {
    const status = await agent.status().catch(() => undefined);
    missing = status === undefined ? missing + 1 : 0;
    if (missing >= missingMost) return true;
    if (status !== undefined) output.status(statusLine(output, status));
    await setTimeout(refreshMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

function statusLine(output: Output, status: AgentStatus): string {
  const own = ownWorkloads(status);
  const instances = appInstances(status);
  const troubled = own.filter((workload) => !isWell(workload)).map(({ id, phase }) => `${id} ${phase}`);
  const well = troubled.length === 0 && status.phase === 'running';
  const parts = [
    well ? 'Alto runs' : `Alto is ${status.phase}`,
    `own processes ${own.filter(isWell).length}/${own.length}`,
    `instances ${instances.filter(isWell).length}/${instances.length}`,
    ...troubled,
    'Ctrl-C stops it',
  ];
  return `${output.paint(well ? 'green' : 'yellow', '●')} ${parts.join(' · ')}`;
}
