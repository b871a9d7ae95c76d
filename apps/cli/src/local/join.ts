/** Makes this machine one of an Alto elsewhere. The agent takes what it needs out of the token. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../failure';
import type { Output } from '../output';
import type { Session } from '../session';
import type { AgentStatus } from './agent';
import { startAgent } from './start';

/** @throws CommandError where an Alto of its own lies in the folder, or an agent runs */
export async function startJoinedAgent(session: Session, output: Output, token: string): Promise<AgentStatus> {
  const { dataDirectory, agent } = session;
  if (existsSync(join(dataDirectory, 'state', 'installation.json'))) {
    throw new CommandError(
      `An Alto of its own lies in ${dataDirectory}, and it cannot join another.`,
      'Name another folder with --data-dir.',
    );
  }
  if ((await agent.status()) !== undefined) {
    throw new CommandError(
      'An agent runs on this machine already.',
      '`alto down` stops it and what it runs; then join again.',
    );
  }
  keepToken(join(dataDirectory, 'keys'), token.trim());
  return await startAgent(session, output);
}

function keepToken(folder: string, token: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'join.token');
  writeFileSync(`${file}.new`, `${token}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
