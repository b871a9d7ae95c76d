import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { change, followable, type FollowOptions } from './changes';
import { wholeNumber } from './whole-number';

export function rollbackCommand(session: Session, output: Output): Command {
  const command = new Command('rollback')
    .description('Bring an app back to an earlier revision')
    .argument('<app>')
    .option('--to <revision>', 'number of the revision; the one before unless given', wholeNumber)
    .addHelpText(
      'after',
      examples([
        ['alto rollback hello', 'to the revision before'],
        ['alto rollback hello --to 3', 'to a certain one; `alto apps revisions hello` lists them'],
      ]),
    )
    .action(async (name: string, { to, ...options }: FollowOptions & { to?: number }) => {
      await change(session, output, name, options, (client) =>
        client.apps.rollback({ project: session.project, app: name, to }),
      );
    });
  return followable(command);
}
