/** Changes of an app that runs. Each is followed to its end unless told not to. */
import type { App } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { type Command, Option } from 'commander';
import { followChange } from '../deploy/follow';
import { interruptible, interruption, orInterrupted } from '../interruption';
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

/**
 * Asks for a change and prints what it comes to.
 * @param ask answers with the app as it accepted the change
 * @throws CommandError when it is interrupted, with what goes on
 */
export async function change(
  session: Session,
  output: Output,
  name: string,
  options: FollowOptions,
  ask: (client: AltoClient) => Promise<App>,
): Promise<void> {
  await interruptible({ secondEnds: true }, async (interrupted) => {
    const client = await session.client(interrupted);
    const accepted = await orInterrupted(
      interrupted,
      () => perhapsChanged(name),
      () => ask(client),
    );
    const request = {
      project: session.project,
      accepted,
      timeoutMs: options.timeout * 1_000,
      progress: (message: string) => output.note(output.paint('dim', message)),
    };
    const app = options.wait
      ? await orInterrupted(
          interrupted,
          () => goesOn(name),
          () => followChange(client, request),
        )
      : accepted;
    output.result(app, () => appTable(output, [app]));
  });
}

const perhapsChanged = (app: string) =>
  interruption(
    `Alto had just been asked to change ${app}.`,
    `\`alto apps show ${app}\` shows whether it does, \`alto rollouts ${app}\` how its changes went.`,
  );

const goesOn = (app: string) =>
  interruption(
    `Alto goes on changing ${app}.`,
    `\`alto apps show ${app}\` shows how it goes, \`alto rollouts ${app}\` how its changes went.`,
  );
