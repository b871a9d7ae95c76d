import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';

export function serviceCommands(session: Session, output: Output): Command {
  const command = new Command('services')
    .description("List Alto's own services; restart one on this machine or change its version")
    .addHelpText(
      'after',
      examples([
        ['alto services', 'list them'],
        ['alto services restart compute', 'replace one, the others go on'],
        ['alto services rollback compute', 'back to the version before'],
      ]),
    );
  command.addCommand(listCommand(session, output), { isDefault: true });
  command.addCommand(versionsCommand(session, output));
  command.addCommand(restartCommand(session, output));
  command.addCommand(updateCommand(session, output));
  command.addCommand(rollbackCommand(session, output));
  return command;
}

function listCommand(session: Session, output: Output): Command {
  return new Command('list')
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
}

function versionsCommand(session: Session, output: Output): Command {
  return new Command('versions')
    .argument('<service>')
    .description('List the versions of a service that this machine can run, newest first')
    .addHelpText('after', examples([['alto services versions compute', 'what `update --to` takes']]))
    .action(async (service: string) => {
      const found = await session.agent.versions(service);
      output.result(found, () =>
        output.table(
          ['VERSION', 'STATE'],
          found.versions.map(({ version, state }) => [version, state]),
        ),
      );
    });
}

function restartCommand(session: Session, output: Output): Command {
  return new Command('restart')
    .argument('<service>')
    .description('Replace the instances of a service one by one, by a newer build where there is one')
    .addHelpText('after', examples([['alto services restart compute', 'replace one, the others go on']]))
    .action(async (service: string) => {
      await session.agent.restart(service, progress(output));
      output.result({ service, state: 'restarted' }, () => `${service} is restarted.`);
    });
}

function updateCommand(session: Session, output: Output): Command {
  return new Command('update')
    .argument('<service>')
    .requiredOption('--to <version>', 'version to run from now on')
    .description('Run another version of a service; the old one stays until the new one is ready')
    .addHelpText(
      'after',
      examples([
        ['alto services update compute --to 0.1.0-3f9a', 'run this version'],
        ['alto services versions compute', 'list the versions there are'],
      ]),
    )
    .action(async (service: string, { to }: { to: string }) => {
      await session.agent.update(service, to, progress(output));
      output.result({ service, version: to, state: 'updated' }, () => `${service} runs ${to}.`);
    });
}

function rollbackCommand(session: Session, output: Output): Command {
  return new Command('rollback')
    .argument('<service>')
    .description('Run the version of a service that ran before')
    .addHelpText('after', examples([['alto services rollback compute', 'back to the version before']]))
    .action(async (service: string) => {
      await session.agent.rollback(service, progress(output));
      const { current } = await session.agent.versions(service);
      output.result({ service, version: current, state: 'rolled back' }, () => `${service} runs ${current} again.`);
    });
}

function progress(output: Output): (message: string) => void {
  return (message) => output.note(output.paint('dim', message));
}
