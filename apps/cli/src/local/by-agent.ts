/** What only the agent of this machine does, and the way out where Docker Compose runs Alto, which needs no such agent. */
import { CommandError, exitCodes } from '../failure';
import type { Session } from '../session';
import { NoAgentError } from './agent';

/**
 * @param composeStep what does the same with Docker Compose: a sentence without its beginning
 * @throws CommandError where an Alto is known and no agent is here: Docker or another machine keeps its services
 */
export async function byAgent<T>(session: Session, composeStep: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof NoAgentError) || !session.hasChosenKey) throw error;
    throw new CommandError(
      `No agent runs on this machine with its data in ${session.dataDirectory}, and agents alone do this.`,
      `Where Docker Compose runs Alto: ${composeStep} Else type it on the machine of that Alto, or start one here with \`alto up\`.`,
      exitCodes.unavailable,
    );
  }
}
