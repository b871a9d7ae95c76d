/** Makes this machine one of an Alto elsewhere. The agent takes what it needs out of the token. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { decodeJoinToken } from '@alto/contracts';
import { CommandError } from '../failure';
import type { Output } from '../output';
import type { Session } from '../session';
import type { AgentStatus } from './agent';
import { changing } from './handover';
import { startAgent } from './start';

/**
 * With a new token for a machine that has joined already, what runs there goes on.
 * @throws AltoError for what is no token, before it takes the place of one that works
 * @throws CommandError where an Alto of its own lies in the folder, or an agent that has not joined runs
 */
export async function startJoinedAgent(session: Session, output: Output, token: string): Promise<AgentStatus> {
  decodeJoinToken(token);
  const { dataDirectory, agent } = session;
  if (existsSync(join(dataDirectory, 'state', 'installation.json'))) {
    throw new CommandError(
      `An Alto of its own lies in ${dataDirectory}, and it cannot join another.`,
      'Name another folder with --data-dir.',
    );
  }
  const file = join(dataDirectory, 'keys', 'join.token');
  const isRunning = (await agent.status()) !== undefined;
  if (isRunning && !existsSync(file)) {
    throw new CommandError('An agent runs on this machine already.', '`alto down` stops it and what it runs.');
  }
  keepToken(file, token.trim());
  // The agent reads its token when it starts.
  if (isRunning) await changing(session, 'node-agent', () => agent.restart('node-agent', (line) => output.note(line)));
  return await startAgent(session, output);
}

function keepToken(file: string, token: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, `${token}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
