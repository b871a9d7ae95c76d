import { loadBalancerOperations, type Route } from '@alto/contracts';
import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { leadOf, type LeadOptions } from '../routes/lead';
import { collect } from './collect';
import { wholeNumber } from './whole-number';

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
          destinationOf(route),
          route.status.state,
          route.status.reason,
        ]);
        const nothing =
          `Project ${session.project} has no routes: its apps answer at <app>.${session.project}.<domain> alone. ` +
          '`alto routes put --help` shows how to make one.';
        return output.list(['ROUTE', 'HOST', 'LEADS TO', 'STATE', 'REASON'], rows, nothing);
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
        const summary = `${placeOf(route)} → ${destinationOf(route)}: ${route.status.reason}`;
        return rows.length === 0
          ? summary
          : `${summary}\n\n${output.table(['INSTANCE', 'ADDRESS', 'STATE', 'REASON'], rows)}`;
      });
    });

  command.addCommand(putCommand(session, output));

  command
    .command('delete <route>')
    .description('Delete a route; its host leads nowhere at once')
    .addHelpText('after', examples([['alto routes delete shop', 'lead it nowhere']]))
    .action(async (name: string) => {
      const client = await session.client();
      const route = await client.routes.delete({ project: session.project, route: name });
      output.result(route, () => `${placeOf(route)} no longer leads to ${destinationOf(route)}.`);
    });
  return command;
}

function putCommand(session: Session, output: Output): Command {
  return new Command('put')
    .argument('<route>')
    .description('Lead a host name, or paths of it, to an app, to several by weight, or elsewhere')
    .requiredOption('--host <host>', "host name; '*' for every host that nothing else matches")
    .option('--path <path>', 'only paths that begin so; of several routes the longest wins')
    .option('--app <app...>', 'app that answers; several as app=weight')
    .option('--redirect <url>', 'send clients there instead')
    .option('--status <code>', 'of the redirect: 301, 302, 303, 307 or 308', wholeNumber)
    .option('--keep-path', "put the request's path behind the URL of the redirect")
    .option('--request-header <line...>', "'name: value' to set before the app sees it; 'name:' removes it")
    .option('--response-header <line...>', "'name: value' to set before the client sees it; 'name:' removes it")
    .addHelpText(
      'after',
      examples([
        ['alto routes put shop --host shop.example.com --app shop', 'lead a host name to an app'],
        ['alto routes put shop-api --host shop.example.com --path /api --app api', 'and a part of it to another'],
        ['alto routes put shop --host shop.example.com --app shop=90 next=10', 'a tenth of the requests to another'],
        ['alto routes put old --host old.example.com --redirect https://shop.example.com --keep-path', 'elsewhere'],
        [
          "alto routes put shop --host shop.example.com --app shop --response-header 'X-Frame-Options: DENY'",
          'a header',
        ],
      ]),
    )
    .action(async (name: string, { host, path, ...lead }: LeadOptions & { host: string; path?: string }) => {
      const client = await session.client();
      const place = { project: session.project, route: name, host, ...(path !== undefined && { path }) };
      const route = await client.routes.put({ ...place, ...leadOf(lead) });
      output.result(route, () => `${placeOf(route)} → ${destinationOf(route)}: ${route.status.reason}`);
    });
}

function placeOf({ host, path }: Route): string {
  return path === '/' ? host : `${host}${path}`;
}

function destinationOf({ app, apps, redirect }: Route): string {
  if (redirect !== undefined) return redirect.to;
  return apps?.map((share) => `${share.app} (${share.weight})`).join(', ') ?? app ?? '';
}
