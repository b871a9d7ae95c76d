import { secretOperations } from '@alto/contracts';
import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import { readSecretValue } from '../secret-value';
import type { Session } from '../session';
import { age } from '../table';
import { collect } from './collect';

export function secretCommands(session: Session, output: Output): Command {
  const command = new Command('secrets').description('Set, list and delete the secrets of a project').addHelpText(
    'after',
    examples([
      ['alto secrets set DATABASE_URL', 'asks for the value and does not show it'],
      ['alto secrets set TLS_KEY < key.pem', 'takes it from a file'],
      ['alto secrets list', 'names and versions; values are never shown'],
    ]),
  );

  command
    .command('set <secret>')
    .description('Set a secret; apps that name it in `secrets` are rolled to the new value')
    .option('--value <text>', 'the value itself; it stays in the history of the shell and others can see it meanwhile')
    .addHelpText(
      'after',
      examples([
        ['alto secrets set DATABASE_URL', 'asks for the value and does not show it'],
        ['alto secrets set TLS_KEY < key.pem', 'takes it from a file, without the newline at its end'],
      ]),
    )
    .action(async (name: string, options: { value?: string }) => {
      if (options.value !== undefined) output.warning(seenByOthers(name));
      const client = await session.client();
      const value = options.value ?? (await askForValue(name));
      const secret = await client.secrets.put({ project: session.project, secret: name, value });
      output.result(secret, () => `${secret.name} is set, version ${secret.version}.`);
    });

  command
    .command('list', { isDefault: true })
    .description('List secrets, without their values')
    .addHelpText('after', examples([['alto secrets list --project shop', 'the secrets of another project']]))
    .action(async () => {
      const client = await session.client();
      const items = await collect(client.listAll(secretOperations.list, { project: session.project }));
      output.result({ items }, () =>
        output.list(
          ['SECRET', 'VERSION', 'SET', 'AGE'],
          items.map(({ name, version, updatedAt, createdAt }) => [
            name,
            version,
            `${age(updatedAt)} ago`,
            age(createdAt),
          ]),
          `Project ${session.project} has no secrets. \`alto secrets set <name>\` sets one.`,
        ),
      );
    });

  command
    .command('delete <secret>')
    .description('Delete a secret and all its values; refused while an app uses it')
    .addHelpText('after', examples([['alto secrets delete DATABASE_URL', 'delete it for good']]))
    .action(async (name: string) => {
      const client = await session.client();
      const secret = await client.secrets.delete({ project: session.project, secret: name });
      output.result(secret, () => `${secret.name} is deleted.`);
    });
  return command;
}

async function askForValue(name: string): Promise<string> {
  const question = {
    what: `value of ${name}`,
    example: `alto secrets set ${name} < file`,
    whenTooLarge: 'Keep large content in a file of the bundle, and its key as a secret.',
  };
  return await readSecretValue(question, process.stdin, (text) => process.stderr.write(text));
}

function seenByOthers(name: string): string {
  return (
    'Warning: a value on the command line stays in the history of the shell, and other users see it in the list of ' +
    `processes. \`alto secrets set ${name}\` asks for it instead.`
  );
}
