/** Brings this machine's Alto up and waits until everything in it is ready. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CommandError } from '../failure';
import type { Output } from '../output';
import type { Session } from '../session';
import { type AgentStatus, isWell, type LocalAgent, ownWorkloads } from './agent';
import { launchAgent, type LaunchedAgent } from './launch';
import { currentVersion, releasesFolder } from './releases';

const pollMs = 100;
const readyWithinMs = 180_000;
/** Of an agent in whose data directory another one is at work already. */
const lockedExitCode = 75;

/**
 * @param interrupted ends the waiting; the agent goes on
 * @throws CommandError with what is wrong, when the agent gives up or something in it does not become ready.
 */
export async function startAgent(session: Session, output: Output, interrupted?: AbortSignal): Promise<AgentStatus> {
  const { agent, dataDirectory } = session;
  const running = await agent.status();
  if (running !== undefined) {
    output.note(`Alto runs already, as process ${running.pid}.`);
    for (const service of outdatedServices(running)) {
      output.note(`A newer build of ${service} is there: \`alto services restart ${service}\` brings it in.`);
    }
    return await untilRunning(agent, undefined, new Progress(output, running), interrupted);
  }
  makeFolder(dataDirectory);
  output.note(`Starting Alto in ${dataDirectory} …`);
  const launched = launchAgent(dataDirectory, releasesFolder(), session.environment);
  return await untilRunning(agent, launched, new Progress(output), interrupted);
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o711 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CommandError(
      `The folder for data, ${path}, cannot be used: ${(error as Error).message}`,
      'Choose another one with --data-dir or ALTO_DATA_DIR.',
    );
  }
}

async function untilRunning(
  agent: LocalAgent,
  launched: LaunchedAgent | undefined,
  progress: Progress,
  interrupted: AbortSignal | undefined,
): Promise<AgentStatus> {
  const deadline = Date.now() + readyWithinMs;
  for (;;) {
    const status = await agent.status();
    interrupted?.throwIfAborted();
    if (status !== undefined) {
      progress.show(status);
      if (status.phase === 'running' && ownWorkloads(status).every(isWell) && (await isReached(status))) return status;
    }
    if (launched !== undefined && hasEnded(launched))
      throw new CommandError(lastWords(launched), '`alto doctor` checks this machine and says what to do.');
    if (Date.now() > deadline)
      throw new CommandError(overdue(status), '`alto status` and `alto doctor` say more; `alto down` stops it.');
    await setTimeout(pollMs);
  }
}

/** The proxy answers 503 for a gateway that is ready until it has seen so itself. */
async function isReached({ workloads }: AgentStatus): Promise<boolean> {
  const port = workloads.find(({ name }) => name === 'haproxy')?.ports['api'];
  if (port === undefined) return true;
  const url = `http://127.0.0.1:${port}/healthz`;
  // Where nobody answers there the ports are on another address, and the command goes by the gateway's socket.
  const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status !== 503;
}

/** One that has found another at work leaves it to that one, which answers soon. */
function hasEnded({ process: agent }: LaunchedAgent): boolean {
  return (agent.exitCode !== null && agent.exitCode !== lockedExitCode) || agent.signalCode !== null;
}

/** Services of which another release has been built than the one that runs. */
function outdatedServices({ workloads }: AgentStatus): string[] {
  const outdated = workloads.filter(({ release }) => {
    const built = release === null ? undefined : currentVersion(releasesFolder(), release.service);
    return built !== undefined && built !== release?.version;
  });
  return [...new Set(outdated.map(({ name }) => name))];
}

/** Each step once, when it begins. */
class Progress {
  private readonly shown = new Set<string>();

  /** @param before what had happened already is not told again */
  constructor(
    private readonly output: Output,
    before?: AgentStatus,
  ) {
    for (const line of before === undefined ? [] : linesOf(before)) this.shown.add(line);
  }

  show(status: AgentStatus): void {
    for (const line of linesOf(status)) this.once(line);
  }

  private once(line: string): void {
    if (this.shown.has(line)) return;
    this.shown.add(line);
    this.output.note(this.output.paint('dim', `  ${line}`));
  }
}

function linesOf(status: AgentStatus): string[] {
  const ready = ownWorkloads(status).filter(({ phase }) => phase === 'ready');
  return [
    ...status.progress.map(({ step, message }) => `${step}: ${message}`),
    ...ready.map(({ id }) => `${id} is ready`),
  ];
}

/** Beside its log the agent writes one sentence for people when it gives up. */
function lastWords(launched: LaunchedAgent): string {
  const lines = launched.said().trim().split('\n');
  const last = lines.findLastIndex((line) => line.startsWith(prefix));
  if (last < 0) return `The node-agent has ended. It said last:\n${lines.slice(-5).join('\n')}`;
  const rest = lines.slice(last).filter((line) => !line.startsWith('{'));
  return rest.join('\n').slice(prefix.length);
}

const prefix = 'alto: ';

function overdue(status: AgentStatus | undefined): string {
  const waiting = status === undefined ? [] : ownWorkloads(status).filter((workload) => !isWell(workload));
  const reasons = waiting.map(({ id, phase, reason }) => `  ${id} is ${phase}${reason === '' ? '' : `: ${reason}`}`);
  return [`Alto is not ready after ${readyWithinMs / 1000} s.`, ...reasons].join('\n');
}
