import { configOrExit, logOf } from '@alto/platform';
import { Agent } from './agent';
import { nodeAgentConfig, type NodeAgentConfig } from './config';
import { AgentLockedError, LOCKED_EXIT_CODE } from './control/agent-lock';
import type { FirstStart } from './first-start';

/**
 * The life of an agent's process: from the environment to the end by a signal, which ends the agent alone, or by
 * `down`, which ends all.
 */
export async function runAgentProcess(makeFirstStart: (config: NodeAgentConfig) => FirstStart): Promise<void> {
  const config = configOrExit({ name: 'node-agent', config: nodeAgentConfig });
  const log = logOf({ name: 'node-agent' }, config);

  /** Tells a person why Alto does not start; the log has the rest. */
  const fail = (error: unknown): never => {
    log.error('The agent cannot go on', { error });
    process.stderr.write(`alto: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(error instanceof AgentLockedError ? LOCKED_EXIT_CODE : 1);
  };
  process.on('unhandledRejection', fail);
  process.on('uncaughtException', fail);

  const agent = await Agent.open({
    config,
    log,
    firstStart: makeFirstStart(config),
    onDown: () => void agent.stop().then(() => process.exit(0), fail),
  }).catch(fail);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info('The agent stops; what it runs goes on', { signal });
      agent.stop().then(() => process.exit(0), fail);
    });
  }
  await agent.start().catch(async (error: unknown) => {
    await agent.giveUp().catch((cause: unknown) => log.warn('Something is left on this machine', { error: cause }));
    fail(error);
  });
}
