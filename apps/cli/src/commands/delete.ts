import { setTimeout } from 'node:timers/promises';
import { AltoError, type App } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { Command } from 'commander';
import { examples } from '../examples';
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

async function untilGone(
  client: AltoClient,
  output: Output,
  project: string,
  app: App,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  let told = '';
  while (Date.now() < deadline) {
    const current = await client.apps.get({ project, app: app.name }).catch((error: unknown) => {
      if (error instanceof AltoError && error.code === 'not_found') return undefined;
      throw error;
    });
    // Somebody may have made another of the same name.
    if (current === undefined || current.id !== app.id) return true;
    if (current.status.reason !== told) output.note(output.paint('dim', current.status.reason));
    told = current.status.reason;
    await setTimeout(pollMs);
  }
  throw new AltoError('timeout', {
    message: `${app.name} is not gone after ${timeoutMs / 1_000} s: ${told}.`,
    nextStep: `It goes on. \`alto apps show ${app.name}\` shows each instance.`,
  });
}
