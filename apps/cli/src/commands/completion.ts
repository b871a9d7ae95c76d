import { computeOperations, gatewayOperations, loadBalancerOperations, secretOperations } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { Argument, Command } from 'commander';
import { completionScript, listedArguments } from '../completion/script';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { collect } from './collect';

type Listed = (typeof listedArguments)[keyof typeof listedArguments];

/** Where bash looks; not there before the first one is put there. */
const bashFolder = '~/.local/share/bash-completion/completions';

export function completionCommand(session: Session, output: Output): Command {
  const command = new Command('completion').description('Print what lets a shell complete commands').addHelpText(
    'after',
    examples([
      ['alto completion zsh >> ~/.zshrc', 'for zsh'],
      [`mkdir -p ${bashFolder} && alto completion bash > ${bashFolder}/alto`, 'for bash, from its next start on'],
    ]),
  );
  for (const shell of ['bash', 'zsh'] as const) {
    command
      .command(shell)
      .description(`Print the completion script for ${shell}`)
      .addHelpText('after', examples([[`alto completion ${shell}`, 'source what it prints']]))
      .action(() => {
        const program = command.parent ?? command;
        const script = completionScript(program, shell);
        output.result({ shell, script }, () => script);
      });
  }
  command
    .command('names')
    .description('Print the names of what there is, as the scripts ask for them')
    .addArgument(new Argument('<kind>', 'of which').choices(Object.values(listedArguments)))
    .addHelpText('after', examples([['alto completion names apps', 'one on each line']]))
    .action(async (kind: Listed) => {
      const names = await namesOf(await session.client(), session.project, kind);
      output.result({ items: names }, () => (names.length === 0 ? undefined : names.join('\n')));
    });
  return command;
}

async function namesOf(client: AltoClient, project: string, kind: Listed): Promise<string[]> {
  if (kind === 'services')
    return (await client.call(gatewayOperations.services.list, {})).items.map((each) => each.service);
  const lists = {
    apps: () => client.listAll(computeOperations.apps.list, { project }),
    routes: () => client.listAll(loadBalancerOperations.routes.list, { project }),
    nodes: () => client.listAll(computeOperations.nodes.list, {}),
    secrets: () => client.listAll(secretOperations.list, { project }),
  };
  return (await collect<{ name: string }>(lists[kind]())).map(({ name }) => name);
}
