import { resolve } from 'node:path';
import { Command } from 'commander';
import { calledAs } from '../called-as';
import { deploy } from '../deploy/deploy';
import { examples } from '../examples';
import { type CommandError, exitCodes, explain } from '../failure';
import { interruptible, interruption } from '../interruption';
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
    .action((options: UpOptions) =>
      // From before anything is started: it must not be left running without a word.
      interruptible({ secondEnds: options.detach === true }, async (interrupted) => {
        const isUp = await unlessInterrupted(interrupted, () => bringUp(session, output, options, interrupted));
        if (!isUp && options.detach === true) throw leftRunning();
        if (!isUp) output.exitCode = exitCodes.interrupted;
        if (options.detach !== true) await stayInForeground(session.agent, output, interrupted);
      }),
    );
}

/** @returns whether the work came to its end */
async function unlessInterrupted(interrupted: AbortSignal, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (interrupted.aborted) return false;
    throw error;
  }
}

/** A deployment that fails is told of at the end and is no reason to stop Alto: one looks there at what was wrong. */
async function bringUp(session: Session, output: Output, options: UpOptions, interrupted: AbortSignal): Promise<void> {
  const startsApps = refusalOf(await startAgent(session, output, interrupted)) === undefined;
  const failure = startsApps ? await deployFirstApp(session, output, options, interrupted) : undefined;
  const status = await session.agent.requireStatus();
  const addresses = addressesOf(session, status, options);
  const isDeployed = options.deploy !== undefined && startsApps && failure === undefined;
  output.result({ status, ...addresses }, () => welcome(output, status, addresses, isDeployed));
  const isUndone = options.deploy !== undefined && !startsApps;
  warnOfRefusal(output, status, isUndone ? `So ${options.deploy} was not deployed.` : undefined);
  if (isUndone) output.exitCode = 1;
  if (failure === undefined) return;
  output.exitCode = explain(failure.error, output);
  const stays = options.detach === true ? 'goes on running; `alto down` stops it.' : 'goes on running.';
  output.warning(`Alto itself ${stays}`);
}

function leftRunning(): CommandError {
  return interruption('Alto goes on starting.', '`alto status` shows how far it is; `alto down` stops it.');
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

/** @returns what it failed with. @throws when it is interrupted */
async function deployFirstApp(
  session: Session,
  output: Output,
  options: UpOptions,
  interrupted: AbortSignal,
): Promise<{ error: unknown } | undefined> {
  if (options.deploy === undefined) return undefined;
  output.note(`Deploying ${options.deploy} …`);
  const here = session.ofThisMachine();
  try {
    await deploy(await here.client(interrupted), {
      directory: resolve(options.deploy),
      project: here.project,
      hosts: options.host,
      proxy: await here.localProxy(),
      timeoutMs: 300_000,
      untilReady: true,
      progress: (message) => output.note(output.paint('dim', `  ${message}`)),
      interrupted,
    });
    return undefined;
  } catch (error) {
    if (interrupted.aborted) throw error;
    return { error };
  }
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
