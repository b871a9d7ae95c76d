import { setTimeout } from 'node:timers/promises';
import { AltoError, type App } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { Command } from 'commander';
import { examples } from '../examples';
import { CommandError, exitCodes } from '../failure';
import { Outage } from '../outage';
import type { Output } from '../output';
import type { Session } from '../session';
import { followable, type FollowOptions } from './changes';

const pollMs = 250;

export function deleteCommand(session: Session, output: Output): Command {
  const command = new Command('delete')
    .description('Drain and stop the instances of an app, then remove it')
    .argument('<app>')
    .addHelpText(
      'after',
      examples([
        ['alto delete hello', 'drain, stop and remove it'],
        ['alto delete hello --no-wait', 'the same, and return at once'],
      ]),
    )
    .action(async (name: string, options: FollowOptions) => {
      const client = await session.client();
      const app = await client.apps.delete({ project: session.project, app: name });
      const gone = options.wait && (await untilGone(client, output, session.project, app, options.timeout * 1_000));
      output.result({ app: app.name, state: gone ? 'deleted' : 'deleting' }, () =>
        gone ? `${app.name} is gone.` : `${app.name} is being deleted: ${app.status.reason}.`,
      );
    });
  return followable(command);
}

/** Goes on where the API is away for a while, as the deletion does. @throws CommandError when time is over */
async function untilGone(
  client: AltoClient,
  output: Output,
  project: string,
  app: App,
  timeoutMs: number,
): Promise<true> {
  const deadline = Date.now() + timeoutMs;
  const outage = new Outage((message) => output.warning(message));
  let told = '';
  for (;;) {
    const current = await outage.ask(() => stateOf(client, project, app));
    if (current === 'gone') return true;
    if (current !== undefined && current.status.reason !== told) {
      told = current.status.reason;
      output.note(output.paint('dim', told));
    }
    if (Date.now() > deadline) break;
    await setTimeout(pollMs);
  }
  const isAway = outage.reason !== undefined;
  throw new CommandError(
    isAway
      ? `Whether ${app.name} is gone is not known after ${timeoutMs / 1_000} s: ${outage.reason}`
      : `${app.name} is not gone after ${timeoutMs / 1_000} s: ${told}.`,
    `It goes on. \`alto apps show ${app.name}\` shows each instance${isAway ? ' once Alto answers' : ''}.`,
    isAway ? exitCodes.unavailable : exitCodes.failed,
  );
}

async function stateOf(client: AltoClient, project: string, app: App): Promise<App | 'gone'> {
  try {
    const current = await client.apps.get({ project, app: app.name });
    // Somebody may have made another of the same name.
    return current.id === app.id ? current : 'gone';
  } catch (error) {
    if (error instanceof AltoError && error.code === 'not_found') return 'gone';
    throw error;
  }
}
