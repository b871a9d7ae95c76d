/** Changes of an app that runs. Each is followed to its end unless told not to. */
import type { App } from '@alto/contracts';
import { type Command, Option } from 'commander';
import { followChange } from '../deploy/follow';
import type { Output } from '../output';
import type { Session } from '../session';
import { appTable } from './apps';
import { wholeNumber } from './whole-number';

export interface FollowOptions {
  /** False with --no-wait. */
  wait: boolean;
  timeout: number;
}

/** What scripts can rely on. */
export const outcomes = `
Exit code: 0 done, 1 failed or not done in time, 5 something does not answer, 6 failed and back at what ran before.
A newer change ends the following with 1. \`alto --help\` lists the others.`;

export function followable(command: Command): Command {
  return command
    .option('--no-wait', 'return as soon as the change is accepted')
    .addOption(new Option('--timeout <seconds>', 'how long to follow it').argParser(wholeNumber).default(900))
    .addHelpText('after', outcomes);
}

/** Prints what the change comes to. @param accepted the app as the API answered the change */
export async function finish(session: Session, output: Output, accepted: App, options: FollowOptions): Promise<void> {
  const app = options.wait
    ? await followChange(await session.client(), {
        project: session.project,
        accepted,
        timeoutMs: options.timeout * 1_000,
        progress: (message) => output.note(output.paint('dim', message)),
      })
    : accepted;
  output.result(app, () => appTable(output, [app]));
}
