import { Argument, Command } from 'commander';
import type { gatewayOperations, OutputOf } from '@alto/contracts';
import { examples } from '../examples';
import { byAgent } from '../local/by-agent';
import { changing } from '../local/handover';
import type { Output } from '../output';
import type { Session } from '../session';
import { wholeNumber } from './whole-number';

type ServiceStatus = OutputOf<typeof gatewayOperations.services.list>['items'][number];

export function serviceCommands(session: Session, output: Output): Command {
  const command = new Command('services')
    .description("List Alto's own services; restart one on this machine, change its version or how many there are")
    .addHelpText(
      'after',
      examples([
        ['alto services', 'list them'],
        ['alto services restart compute', 'replace one, the others go on'],
        ['alto services rollback compute', 'back to the version before'],
        ['alto services scale gateway 3', 'run three of it'],
      ]),
    );
  command.addCommand(listCommand(session, output), { isDefault: true });
  command.addCommand(versionsCommand(session, output));
  command.addCommand(restartCommand(session, output));
  command.addCommand(updateCommand(session, output));
  command.addCommand(rollbackCommand(session, output));
  command.addCommand(scaleCommand(session, output));
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
        return output.table(['SERVICE', 'STATE', 'INSTANCE', 'VERSION', 'REASON'], items.flatMap(rowsOf));
      });
    });
}

/** One for each instance; a service that has none is shown too. */
function rowsOf({ service, state, instances, reason }: ServiceStatus): (string | undefined)[][] {
  if (instances.length === 0) return [[service, state, undefined, undefined, reason]];
  return instances.map(({ instance, version, state: own }) => [
    service,
    own === 'ready' ? state : own,
    instance,
    version,
    reason,
  ]);
}

function versionsCommand(session: Session, output: Output): Command {
  return new Command('versions')
    .argument('<service>')
    .description('List the versions of a service that this machine can run, newest first')
    .addHelpText('after', examples([['alto services versions compute', 'what `update --to` takes']]))
    .action(async (service: string) => {
      const found = await byAgent(session, composeSteps.versions(service), () => session.agent.versions(service));
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
      const restart = () => session.agent.restart(service, progress(output));
      await byAgent(session, composeSteps.restart(service), () => changing(session, service, restart));
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
      const update = () => session.agent.update(service, to, progress(output));
      await byAgent(session, composeSteps.update(service), () => changing(session, service, update, to));
      output.result({ service, version: to, state: 'updated' }, () => `${service} runs ${to}.`);
    });
}

function rollbackCommand(session: Session, output: Output): Command {
  return new Command('rollback')
    .argument('<service>')
    .description('Run the version of a service that ran before')
    .addHelpText('after', examples([['alto services rollback compute', 'back to the version before']]))
    .action(async (service: string) => {
      const rollback = () => session.agent.rollback(service, progress(output));
      await byAgent(session, composeSteps.rollback(service), () => changing(session, service, rollback));
      const { current } = await session.agent.versions(service);
      output.result({ service, version: current, state: 'rolled back' }, () => `${service} runs ${current} again.`);
    });
}

function scaleCommand(session: Session, output: Output): Command {
  return new Command('scale')
    .argument('<service>')
    .addArgument(new Argument('<instances>', 'how many, 1 to 9').argParser(wholeNumber))
    .description('Run so many instances of a service on this machine, from now on; requests are shared among them')
    .addHelpText(
      'after',
      examples([
        ['alto services scale gateway 3', 'run three of it'],
        ['alto services scale gateway 1', 'the others finish what they do and end'],
      ]),
    )
    .action(async (service: string, instances: number) => {
      await byAgent(session, composeSteps.scale(), () => session.agent.scale(service, instances, progress(output)));
      const what = instances === 1 ? '1 instance' : `${instances} instances`;
      output.result({ service, instances, state: 'scaled' }, () => `${service} has ${what}.`);
    });
}

/** What does the same where Docker Compose runs Alto. */
const composeSteps = {
  restart: (service: string) => `\`docker compose restart ${service}\`.`,
  update: (service: string) =>
    `check out the version that is wanted, then \`docker compose up --build --detach --no-deps ${service}\`.`,
  rollback: (service: string) =>
    `check out the version before, then \`docker compose up --build --detach --no-deps ${service}\`.`,
  versions: (service: string) => `\`docker image ls alto-${service}\` lists its images.`,
  scale: () => 'there is one of each service.',
};

function progress(output: Output): (message: string) => void {
  return (message) => output.note(output.paint('dim', message));
}
