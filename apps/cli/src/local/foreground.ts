/** Alto in the foreground: one status line until Ctrl-C, then an orderly stop. */
import { setTimeout } from 'node:timers/promises';
import type { Output } from '../output';
import { type AgentStatus, appInstances, isWell, type LocalAgent, ownWorkloads } from './agent';

const refreshMs = 1_000;

export async function stayInForeground(agent: LocalAgent, output: Output): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  // Kept until everything has ended: a second Ctrl-C must not leave half of it running.
  for (const signal of signals) process.on(signal, interrupt);
  try {
    output.note(output.paint('dim', 'Ctrl-C stops Alto.'));
    const gone = await watch(agent, output, stop.signal);
    if (gone) {
      output.note('Alto was stopped from elsewhere.');
      return;
    }
    output.note('Stopping …');
    await agent.down((message) => output.note(output.paint('dim', `  ${message}`)));
    output.note('Alto has stopped. Its data stays; the next start goes on from here.');
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
  }
}

/** @returns whether the agent went away by itself. An agent that is only being replaced is waited for. */
async function watch(agent: LocalAgent, output: Output, signal: AbortSignal): Promise<boolean> {
  let missing = 0;
  while (!signal.aborted) {
    const status = await agent.status().catch(() => undefined);
    missing = status === undefined ? missing + 1 : 0;
    if (missing >= 10) return true;
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
