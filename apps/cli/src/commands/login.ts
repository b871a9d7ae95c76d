import { AltoClient } from '@alto/sdk';
import { Command } from 'commander';
import { writeConfiguration } from '../configuration';
import { examples } from '../examples';
import { CommandError, exitCodes } from '../failure';
import type { Output } from '../output';
import type { Session } from '../session';

export function loginCommand(session: Session, output: Output): Command {
  return new Command('login')
    .description('Remember an API and a key for the commands that follow')
    .option('--key <key>', 'API key; read from standard input unless given, so that it stays out of the shell history')
    .addHelpText(
      'after',
      examples([
        ['alto login --url https://alto.example.com < key.txt', 'take the key from a file'],
        ['alto login --url http://127.0.0.1:4000 --key alto_…', 'take the key from the command line'],
      ]),
    )
    .action(async (options: { key?: string }) => {
      const url = await session.url();
      const key = options.key ?? (await readKey());
      const identity = await new AltoClient({ baseUrl: url, apiKey: key }).identity.get({});
      const project = identity.project?.name;
      writeConfiguration(session.configurationPath, { url, key, ...(project !== undefined && { project }) });
      output.result({ url, ...identity }, () => {
        const where = project === undefined ? 'in the whole cluster' : `in project ${project}`;
        return `Logged in to ${url} as ${identity.role} ${where}. Saved in ${session.configurationPath}.`;
      });
    });
}

async function readKey(): Promise<string> {
  if (process.stdin.isTTY)
    throw new CommandError('No key was given.', 'Give one with --key, or on standard input.', exitCodes.usage);
  let text = '';
  for await (const chunk of process.stdin) text += String(chunk);
  return text.trim();
}
