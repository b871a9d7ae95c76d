import { Command } from 'commander';
import { examples } from '../examples';
import { byAgent } from '../local/by-agent';
import type { Output } from '../output';
import type { Session } from '../session';

export function downCommand(session: Session, output: Output): Command {
  return new Command('down')
    .description('Stop everything on this machine in order; data stays')
    .addHelpText(
      'after',
      examples([
        ['alto down', 'stop'],
        ['alto up --detach', 'start again, with everything as it was'],
      ]),
    )
    .action(async () => {
      await byAgent(session, '`docker compose down`.', async () => {
        await session.agent.requireStatus();
        await session.agent.down((message) => output.note(message));
      });
      output.result({ state: 'stopped' }, () => 'Alto has stopped.');
    });
}
