/** A change of the agent itself begins in one process and ends in another: it is done when that one is at work. */
import { setTimeout } from 'node:timers/promises';
import { CommandError } from '../failure';
import type { Session } from '../session';

const agentService = 'node-agent';
const pollMs = 200;
/** A new agent has a minute to get to work, and the old one then some time to come back. */
const handedOverWithinMs = 120_000;

/**
 * Makes a change of a service, and waits for the other agent where it is one of the agent.
 * @param to version that is wanted, where one was named
 * @throws CommandError where the new agent did not get to work
 */
export async function changing(
  { agent }: Session,
  service: string,
  change: () => Promise<void>,
  to?: string,
): Promise<void> {
  if (service !== agentService) return await change();
  const before = await agent.requireStatus();
  await change();
  if (before.version === to) return;
  const deadline = Date.now() + handedOverWithinMs;
  for (;;) {
    const now = await agent.status().catch(() => undefined);
    if (now !== undefined && now.pid !== before.pid && now.handover !== null && now.handover.state !== 'starting') {
      if (now.handover.state === 'ready') return;
      throw new CommandError(
        `The agent of version ${now.handover.version} did not get to work; the one of ${now.version} is back.`,
        `What it said stands in ${agent.dataDirectory}/logs/agent.log.`,
      );
    }
    if (Date.now() > deadline) {
      throw new CommandError('No agent is back yet; what it started goes on.', '`alto up` starts one.');
    }
    await setTimeout(pollMs);
  }
}
