import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';

export function serviceCommands(session: Session, output: Output): Command {
  const command = new Command('services')
    .description("List Alto's own services, and restart one on this machine")
    .addHelpText(
      'after',
      examples([
        ['alto services', 'list them'],
        ['alto services restart compute', 'replace one, the others go on'],
      ]),
    );

  command
    .command('list', { isDefault: true })
    .description('List services, their versions and instances')
    .addHelpText('after', examples([['alto services list', 'list them']]))
    .action(async () => {
      const client = await session.client();
      const { items } = await client.services.list({});
      output.result({ items }, () => {
        const rows = items.map(({ service, state, versions, instances, reason }) => [
          service,
          state,
          instances.length,
          versions.join(', '),
          reason,
        ]);
        return output.table(['SERVICE', 'STATE', 'INSTANCES', 'VERSION', 'REASON'], rows);
      });
    });

  command
    .command('restart <service>')
    .description('Replace the instances of a service one by one')
    .addHelpText('after', examples([['alto services restart compute', 'replace one, the others go on']]))
    .action(async (service: string) => {
      await session.agent.restart(service, (message) => output.note(output.paint('dim', message)));
      output.result({ service, state: 'restarted' }, () => `${service} is restarted.`);
    });
  return command;
}
