import type { App, Instance } from '@alto/contracts';
import { computeOperations } from '@alto/contracts';
import { Command } from 'commander';
import { asCalled } from '../called-as';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';
import { collect } from './collect';

export function appCommands(session: Session, output: Output): Command {
  const command = new Command('apps').description('List and show apps and their revisions').addHelpText(
    'after',
    examples([
      ['alto apps list', 'list them'],
      ['alto apps show hello', 'see its instances and why each is as it is'],
      ['alto apps revisions hello', 'see what ran before'],
    ]),
  );

  command
    .command('list', { isDefault: true })
    .description('List the apps of the project')
    .addHelpText('after', examples([['alto apps list', 'list them']]))
    .action(async () => {
      const client = await session.client();
      const items = await collect(client.listAll(computeOperations.apps.list, { project: session.project }));
      const nothing = `Project ${session.project} has no apps yet. \`alto deploy <folder>\` runs one.`;
      output.result({ items }, () => (items.length === 0 ? asCalled(nothing) : appTable(output, items)));
    });

  command
    .command('show <app>')
    .description('Show an app and its instances')
    .addHelpText('after', examples([['alto apps show hello', 'its instances and why each is as it is']]))
    .action(async (name: string) => {
      const client = await session.client();
      const address = { project: session.project, app: name };
      const app = await client.apps.get(address);
      const instances = await collect(client.listAll(computeOperations.instances.list, address));
      output.result({ app, instances }, () => `${appTable(output, [app])}\n\n${instanceTable(output, instances)}`);
    });

  command
    .command('revisions <app>')
    .description('List the revisions of an app, newest first')
    .addHelpText('after', examples([['alto apps revisions hello', 'what ran before']]))
    .action(async (name: string) => {
      const client = await session.client();
      const items = await collect(
        client.listAll(computeOperations.revisions.list, { project: session.project, app: name }),
      );
      output.result({ items }, () => {
        const rows = items.map(({ number, current, bundle, command: argv, createdAt }) => [
          `${number}${current ? ' *' : ''}`,
          bundle,
          argv.join(' '),
          age(createdAt),
        ]);
        return output.table(['REVISION', 'BUNDLE', 'COMMAND', 'AGE'], rows);
      });
    });

  return command;
}

const spareAge = { title: 'AGE', isSpare: true };

export function appTable(output: Output, apps: readonly App[]): string {
  const rows = apps.map(({ name, status, revision, createdAt }) => [
    name,
    status.state,
    `${status.ready}/${status.desired}`,
    revision,
    age(createdAt),
    status.reason,
  ]);
  return output.table(['APP', 'STATE', 'READY', 'REVISION', spareAge, 'REASON'], rows);
}

export function instanceTable(output: Output, instances: readonly Instance[]): string {
  const rows = instances.map((instance) => [
    instance.id,
    instance.state,
    instance.revision,
    addressesOf(instance),
    instance.restarts,
    age(instance.createdAt),
    instance.reason,
  ]);
  const address = { title: 'ADDRESS', isWhole: true, isSpare: true };
  return output.table(['INSTANCE', 'STATE', 'REVISION', address, 'RESTARTS', spareAge, 'REASON'], rows);
}

/** `10.0.0.1:20000 metrics=10.0.0.1:20001`. */
function addressesOf({ address, ports = {} }: Instance): string | null {
  const further = Object.entries(ports).map(([name, { ip, port }]) => `${name}=${ip}:${port}`);
  const all = [...(address === null ? [] : [`${address.ip}:${address.port}`]), ...further];
  return all.length === 0 ? null : all.join(' ');
}
