import { AltoClient } from '@alto/sdk';
import { Command } from 'commander';
import { writeConfiguration } from '../configuration';
import { examples } from '../examples';
import type { Output } from '../output';
import { readSecretValue } from '../secret-value';
import type { Session } from '../session';

export function loginCommand(session: Session, output: Output): Command {
  return new Command('login')
    .description('Remember an API and a key for the commands that follow')
    .option(
      '--key <key>',
      'API key; asked for unless given, or read from standard input, so that it stays out of the shell history',
    )
    .addHelpText(
      'after',
      examples([
        ['alto login --url https://alto.example.com', 'asks for the key and does not show it'],
        ['alto login --url https://alto.example.com < key.txt', 'take the key from a file'],
        ['alto login --url http://127.0.0.1:4000 --key alto_…', 'take the key from the command line'],
      ]),
    )
    .action(async (options: { key?: string }) => {
      const url = await session.url();
      const given =
        options.key ?? (await readSecretValue(question, process.stdin, (text) => process.stderr.write(text)));
      const key = given.trim();
      const identity = await new AltoClient({ baseUrl: url, apiKey: key }).identity.get({});
      const project = identity.project?.name;
      writeConfiguration(session.configurationPath, { url, key, ...(project !== undefined && { project }) });
      output.result({ url, ...identity }, () => {
        const where = project === undefined ? 'in the whole cluster' : `in project ${project}`;
        return `Logged in to ${url} as ${identity.role} ${where}. Saved in ${session.configurationPath}.`;
      });
    });
}

const question = { what: 'API key', example: 'alto login --url <url> < key.txt' };
