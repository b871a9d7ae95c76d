import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { change, followable, type FollowOptions } from './changes';

export function restartCommand(session: Session, output: Output): Command {
  const command = new Command('restart')
    .description('Replace every instance of an app by a new one, without a gap')
    .argument('<app>')
    .addHelpText(
      'after',
      examples([
        ['alto restart hello', 'as in a rollout: the new one serves before the old one goes'],
        ['alto restart hello --no-wait', 'the same, and return at once'],
      ]),
    )
    .action(async (name: string, options: FollowOptions) => {
      await change(session, output, name, options, (client) =>
        client.apps.restart({ project: session.project, app: name }),
      );
    });
  return followable(command);
}
