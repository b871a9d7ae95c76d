import { loadBalancerOperations, type Route } from '@alto/contracts';
import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { collect } from './collect';

export function routeCommands(session: Session, output: Output): Command {
  const command = new Command('routes').description('Lead host names to apps').addHelpText(
    'after',
    examples([
      ['alto routes put shop --host shop.example.com --app shop', 'lead a host name to an app'],
      ['alto routes show shop', 'see each of its targets'],
    ]),
  );

  command
    .command('list', { isDefault: true })
    .description('List the routes of the project')
    .addHelpText('after', examples([['alto routes list', 'list them']]))
    .action(async () => {
      const client = await session.client();
      const items = await collect(client.listAll(loadBalancerOperations.routes.list, { project: session.project }));
      output.result({ items }, () => {
        const rows = items.map((route) => [
          route.name,
          placeOf(route),
          leadOf(route),
          route.status.state,
          route.status.reason,
        ]);
        return output.table(['ROUTE', 'HOST', 'LEADS TO', 'STATE', 'REASON'], rows);
      });
    });

  command
    .command('show <route>')
    .description('Show a route and why each of its targets serves or does not')
    .addHelpText('after', examples([['alto routes show shop', 'each of its targets']]))
    .action(async (name: string) => {
      const client = await session.client();
      const route = await client.routes.get({ project: session.project, route: name });
      output.result(route, () => {
        const rows = route.status.targets.map(({ instance, address, state, reason }) => [
          instance,
          address,
          state,
          reason,
        ]);
        return `${placeOf(route)} → ${leadOf(route)}: ${route.status.reason}\n\n${output.table(['INSTANCE', 'ADDRESS', 'STATE', 'REASON'], rows)}`;
      });
    });

  command
    .command('put <route>')
    .description('Lead a host name to an app')
    .requiredOption('--host <host>', "host name; '*' for every host that nothing else matches")
    .requiredOption('--app <app>', 'app that answers')
    .addHelpText(
      'after',
      examples([['alto routes put shop --host shop.example.com --app shop', 'lead a host name to an app']]),
    )
    .action(async (name: string, options: { host: string; app: string }) => {
      const client = await session.client();
      const route = await client.routes.put({ project: session.project, route: name, ...options });
      output.result(route, () => `${placeOf(route)} → ${leadOf(route)}: ${route.status.reason}`);
    });

  command
    .command('delete <route>')
    .description('Delete a route; its host leads nowhere at once')
    .addHelpText('after', examples([['alto routes delete shop', 'lead it nowhere']]))
    .action(async (name: string) => {
      const client = await session.client();
      const route = await client.routes.delete({ project: session.project, route: name });
      output.result(route, () => `${placeOf(route)} no longer leads to ${leadOf(route)}.`);
    });
  return command;
}

function placeOf({ host, path }: Route): string {
  return path === '/' ? host : `${host}${path}`;
}

function leadOf({ app, apps, redirect }: Route): string {
  if (redirect !== undefined) return redirect.to;
  return apps?.map((share) => `${share.app} (${share.weight})`).join(', ') ?? app ?? '';
}
