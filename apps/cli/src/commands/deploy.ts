import { resolve } from 'node:path';
import { Command } from 'commander';
import { deploy, planDeployment, stepsOf } from '../deploy/deploy';
import { examples } from '../examples';
import { interruptible } from '../interruption';
import type { Output } from '../output';
import type { Session } from '../session';
import { appTable } from './apps';
import { outcomes } from './changes';
import { wholeNumber } from './whole-number';

interface DeployOptions {
  name?: string;
  replicas?: number;
  host?: string[];
  timeout: number;
  dryRun?: boolean;
}

export function deployCommand(session: Session, output: Output): Command {
  return new Command('deploy')
    .description('Upload a folder with an alto.yaml, run it, and wait until it is ready')
    .argument('[folder]', 'folder of the app', '.')
    .option('--name <name>', 'name of the app, in place of the one in alto.yaml')
    .option('--replicas <count>', 'how many instances, in place of what alto.yaml says', wholeNumber)
    .option('--host <host...>', "host names that lead to it; '*' for any")
    .option('--dry-run', 'say what would change, and change nothing')
    .option('--timeout <seconds>', 'how long to wait until it is ready', wholeNumber, 900)
    .addHelpText(
      'after',
      examples([
        ['alto deploy ./hello', 'run the app in this folder'],
        ['alto deploy ./hello --dry-run', 'what that would change'],
        ['alto deploy ./hello --replicas 5 --host hello.example.com', 'five instances, behind a host name'],
      ]),
    )
    .addHelpText(
      'after',
      `${outcomes}\nBefore anything is changed: 2 something is wrong with the folder or its alto.yaml.`,
    )
    .action((folder: string, options: DeployOptions) =>
      interruptible({ secondEnds: true }, (interrupted) => run(session, output, folder, options, interrupted)),
    );
}

async function run(
  session: Session,
  output: Output,
  folder: string,
  options: DeployOptions,
  interrupted: AbortSignal,
): Promise<void> {
  const client = await session.client(interrupted);
  const request = {
    directory: resolve(folder),
    project: session.project,
    name: options.name,
    replicas: options.replicas,
    hosts: options.host,
    proxy: await session.localProxy(),
    timeoutMs: options.timeout * 1000,
    progress: (message: string) => output.note(output.paint('dim', message)),
    interrupted,
  };
  if (options.dryRun === true) {
    const planned = await planDeployment(client, request);
    output.result(planned, () => stepsOf(planned).join('\n'));
    return;
  }
  const app = await deploy(client, request);
  output.result(app, () => appTable(output, [app]));
}
