import { masterKeyOperations } from '@alto/contracts';
import { Command } from 'commander';
import { calledAs } from '../called-as';
import { examples } from '../examples';
import { byAgent } from '../local/by-agent';
import type { Output } from '../output';
import type { Session } from '../session';
import { collect } from './collect';

const composeStep = 'the key in its volume `keys` cannot be rotated.';

export function masterKeyCommands(session: Session, output: Output): Command {
  const command = new Command('master-key')
    .description('Rotate the key that seals the secrets of all projects, without interruption')
    .addHelpText(
      'after',
      examples([
        ['alto master-key rotate', 'add a new key; all secrets are sealed anew in the background'],
        ['alto master-key status', 'see how far that is'],
        ['alto master-key retire <key>', 'take the old one away once nothing needs it'],
      ]),
    );

  command
    .command('status', { isDefault: true })
    .description('List the keys, what each is needed for, and how far a rotation is')
    .addHelpText('after', examples([['alto master-key status', 'for operators']]))
    .action(async () => {
      const client = await session.client();
      const items = await collect(client.listAll(masterKeyOperations.list, {}));
      output.result({ items }, () =>
        output.table(
          ['KEY', 'STATE', 'VALUES', 'MACHINES', 'REASON'],
          items.map(({ id, state, values, machines, reason }) => [id, state, String(values), String(machines), reason]),
        ),
      );
    });

  command
    .command('rotate')
    .description('Add a new key to the file of this machine, which runs compute')
    .addHelpText('after', examples([['alto master-key rotate', 'the old key still opens what it has sealed']]))
    .action(async () => {
      const id = await byAgent(session, composeStep, () => session.agent.rotateMasterKey());
      output.result(
        { id, state: 'added' },
        () => `Master key ${id} is added. \`${calledAs} master-key status\` shows the rest.`,
      );
    });

  command
    .command('retire <key>')
    .description('Take a key away from the file of this machine; refused while anything needs it')
    .addHelpText(
      'after',
      examples([['alto master-key retire 1f0c6d2b9a3e4d57', 'a key that `status` says can be retired']]),
    )
    .action(async (id: string) => {
      await byAgent(session, composeStep, () => session.agent.retireMasterKey(id));
      output.result({ id, state: 'retired' }, () => `Master key ${id} is retired.`);
    });
  return command;
}
