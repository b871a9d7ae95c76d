import { resolve } from 'node:path';
import { Command } from 'commander';
import { calledAs } from '../called-as';
import { deploy } from '../deploy/deploy';
import { examples } from '../examples';
import type { AgentStatus } from '../local/agent';
import { startAgent } from '../local/start';
import { stayInForeground } from '../local/foreground';
import { refusalOf, warnOfRefusal } from '../local/refusal';
import type { Output } from '../output';
import type { Session } from '../session';
import { describeStatus } from './status';

interface UpOptions {
  detach?: boolean;
  deploy?: string;
  host?: string[];
}

export function upCommand(session: Session, output: Output): Command {
  return new Command('up')
    .description('Start Alto on this machine; Ctrl-C stops it')
    .option('-d, --detach', 'leave it running and return')
    .option('--deploy <folder>', 'deploy this app here as soon as Alto runs, whatever you are logged in to')
    .option('--host <host...>', 'host names that lead to that app')
    .addHelpText(
      'after',
      examples([
        ['alto up --detach', 'start it and return'],
        ['ALTO_API_PORT=4100 alto up', 'with the API on another port'],
        ['ALTO_DATABASE_URL=postgresql://… alto up', 'with its databases on a PostgreSQL of yours'],
      ]),
    )
    .action(async (options: UpOptions) => {
      const startsApps = refusalOf(await startAgent(session, output)) === undefined;
      if (startsApps) await deployFirstApp(session, output, options);
      const status = await session.agent.requireStatus();
      const addresses = addressesOf(session, status, options);
      const isDeployed = options.deploy !== undefined && startsApps;
      output.result({ status, ...addresses }, () => welcome(output, status, addresses, isDeployed));
      const isUndone = options.deploy !== undefined && !startsApps;
      warnOfRefusal(output, status, isUndone ? `So ${options.deploy} was not deployed.` : undefined);
      if (isUndone) output.exitCode = 1;
      if (options.detach !== true) await stayInForeground(session.agent, output);
    });
}

interface Addresses {
  api: string;
  reference: string;
  apps: string;
  adminKeyFile: string;
}

function addressesOf(session: Session, { workloads }: AgentStatus, { host }: UpOptions): Addresses {
  const { api = 4000, apps = 8080 } = workloads.find(({ name }) => name === 'haproxy')?.ports ?? {};
  const named = host?.find((each) => each !== '*');
  return {
    api: `http://127.0.0.1:${api}`,
    reference: `http://127.0.0.1:${api}/docs`,
    apps: named === undefined ? `http://127.0.0.1:${apps}/` : `http://${named}:${apps}/`,
    adminKeyFile: `${session.dataDirectory}/keys/admin.key`,
  };
}

async function deployFirstApp(session: Session, output: Output, options: UpOptions): Promise<void> {
  if (options.deploy === undefined) return;
  output.note(`Deploying ${options.deploy} …`);
  const here = session.ofThisMachine();
  await deploy(await here.client(), {
    directory: resolve(options.deploy),
    project: here.project,
    hosts: options.host,
    proxy: await here.localProxy(),
    timeoutMs: 300_000,
    untilReady: true,
    progress: (message) => output.note(output.paint('dim', `  ${message}`)),
  });
}

function welcome(output: Output, status: AgentStatus, addresses: Addresses, deployed: boolean): string {
  const { api, reference, apps, adminKeyFile } = addresses;
  const bold = (text: string) => output.paint('bold', text);
  return [
    '',
    describeStatus(output, status),
    '',
    `  ${bold('Apps')}        ${apps}`,
    `  ${bold('API')}         ${api}   (reference: ${reference})`,
    `  ${bold('Admin key')}   ${adminKeyFile}`,
    '',
    'Try:',
    ...(deployed
      ? [`  curl ${apps}`, `  ${calledAs} apps`]
      : [`  ${calledAs} deploy <folder>`, `  ${calledAs} doctor`]),
    `  ${calledAs} events -f`,
    '',
  ].join('\n');
}
