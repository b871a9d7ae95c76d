import { gatewayOperations, projectRoles } from '@alto/contracts';
import { Command, Option } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';
import { collect } from './collect';

export function keyCommands(session: Session, output: Output): Command {
  const command = new Command('keys').description('List, create and revoke the API keys of a project').addHelpText(
    'after',
    examples([
      ['alto keys create --name ci --role developer', 'make one; its secret is shown once'],
      ['alto keys revoke key_01k…', 'end it at once'],
    ]),
  );

  command
    .command('list', { isDefault: true })
    .description('List keys, without their secrets')
    .addHelpText('after', examples([['alto keys list --project shop', 'the keys of another project']]))
    .action(async () => {
      const client = await session.client();
      const items = await collect(client.listAll(gatewayOperations.keys.list, { project: session.project }));
      output.result({ items }, () => {
        const rows = items.map((key) => [
          key.id,
          key.name,
          key.role,
          key.revokedAt === null ? 'valid' : 'revoked',
          key.lastUsedAt === null ? 'never' : `${age(key.lastUsedAt)} ago`,
          age(key.createdAt),
        ]);
        return output.table(['KEY', 'NAME', 'ROLE', 'STATE', 'LAST USED', 'AGE'], rows);
      });
    });

  command
    .command('create')
    .description('Create a key; its secret is shown this once')
    .requiredOption('--name <text>', 'what it is for')
    .addOption(new Option('--role <role>', 'what it may do').choices(projectRoles).default('developer'))
    .addHelpText(
      'after',
      examples([['alto keys create --name ci --role developer', 'make one; its secret is shown once']]),
    )
    .action(async (options: { name: string; role: (typeof projectRoles)[number] }) => {
      const client = await session.client();
      const key = await client.keys.create({ project: session.project, ...options });
      output.result(
        key,
        () =>
          `${key.key}\n\nThis is key ${key.id} of project ${session.project}, role ${key.role}. It is not shown again.`,
      );
    });

  command
    .command('revoke <key>')
    .description('Revoke a key at once and for good')
    .addHelpText('after', examples([['alto keys revoke key_01k…', 'end it at once']]))
    .action(async (key: string) => {
      const client = await session.client();
      const revoked = await client.keys.revoke({ project: session.project, key });
      output.result(revoked, () => `Key ${revoked.id} (${revoked.name}) is revoked.`);
    });
  return command;
}
