import { Argument, Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { change, followable, type FollowOptions } from './changes';
import { wholeNumber } from './whole-number';

export function scaleCommand(session: Session, output: Output): Command {
  const command = new Command('scale')
    .description('Run this many instances of an app')
    .argument('<app>')
    .addArgument(new Argument('<replicas>', 'how many; 0 stops it').argParser(wholeNumber))
    .addHelpText(
      'after',
      examples([
        ['alto scale hello 5', 'run five instances'],
        ['alto scale hello 0 --no-wait', 'stop it and return at once'],
      ]),
    )
    .action(async (name: string, replicas: number, options: FollowOptions) => {
      await change(session, output, name, options, (client) =>
        client.apps.scale({ project: session.project, app: name, replicas }),
      );
    });
  return followable(command);
}
