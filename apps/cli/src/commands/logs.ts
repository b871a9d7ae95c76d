import { setTimeout } from 'node:timers/promises';
import { AltoError, type LogLine } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { Command } from 'commander';
import { examples } from '../examples';
import { CommandError, exitCodes } from '../failure';
import { byAgent } from '../local/by-agent';
import { Outage, waitingSays } from '../outage';
import type { Output, Style } from '../output';
import type { Session } from '../session';
import { wholeNumber } from './whole-number';

interface LogOptions {
  follow?: boolean;
  instance?: string;
  workload?: string;
  lines: number;
}

const pauseMs = 400;
const pageLines = 1_000;
const styles: readonly Style[] = ['cyan', 'yellow', 'green', 'magenta', 'blue'];

export function logsCommand(session: Session, output: Output): Command {
  return new Command('logs')
    .description("Show the last lines of an app's logs, or of one of Alto's own workloads")
    .argument('[app]', 'name of the app')
    .option('-f, --follow', 'go on until interrupted, also through restarts and rollouts')
    .option('-n, --lines <count>', 'how many lines to begin with, 1,000 at most', wholeNumber, 100)
    .option('--instance <id>', 'of this instance alone')
    .option('--workload <id>', "of one of Alto's own workloads on this machine, e.g. gateway.0")
    .addHelpText(
      'after',
      examples([
        ['alto logs hello -f', 'watch every replica of an app, each by its name'],
        ['alto logs hello --instance ins_01k…', 'one of them, also after its end'],
        ['alto logs --workload compute.0 -f', "watch what one of Alto's services says"],
      ]),
    )
    .action(async (app: string | undefined, options: LogOptions) => {
      if (options.workload !== undefined) return await showWorkload(session, output, options.workload, options);
      if (app === undefined) throw new CommandError('Say which app.', '`alto apps list` names them.', exitCodes.usage);
      await showLogs(await session.client(), new LogPrinter(output, app), session.project, app, options);
    });
}

async function showWorkload(
  session: Session,
  output: Output,
  workload: string,
  { lines, follow }: LogOptions,
): Promise<void> {
  const { agent } = session;
  const [service] = workload.split('.');
  let page = await byAgent(session, `\`docker compose logs ${service}\`.`, () => agent.logs(workload, lines));
  if (follow !== true) return output.result(page, () => joined(page.lines.map(({ text }) => text)));
  const stop = untilInterrupted();
  const outage = new Outage((message) => output.warning(message));
  for (;;) {
    for (const line of page.lines) output.item(line, () => line.text);
    if (page.lines.length === 0) await pause(pauseMs, stop);
    if (stop.aborted) return;
    const { cursor } = page;
    // The agent is away while another one takes its place. What was written meanwhile follows.
    page = (await outage.ask(() => agent.logs(workload, pageLines, cursor))) ?? { lines: [], cursor };
  }
}

async function showLogs(
  client: AltoClient,
  printer: LogPrinter,
  project: string,
  app: string,
  { instance, lines, follow }: LogOptions,
): Promise<void> {
  const address = { project, app, ...(instance !== undefined && { instance }) };
  let page = await client.logs.read({ ...address, lines });
  if (follow !== true) return printer.document(page);
  printer.print(page.lines);
  const stop = untilInterrupted();
  while (!stop.aborted) {
    if (page.lines.length === 0) await pause(pauseMs, stop);
    try {
      page = await client.logs.read({ ...address, cursor: page.cursor, lines: pageLines }, { signal: stop });
      printer.print(page.lines);
    } catch (error) {
      if (stop.aborted) return;
      if (!(error instanceof AltoError && error.retryable)) throw error;
      printer.interrupted(error);
      await pause(pauseMs, stop);
    }
  }
}

/** Each line with the instance that said it in front; on a terminal each instance has a colour. */
class LogPrinter {
  private readonly styles = new Map<string, Style>();
  private isInterrupted = false;

  constructor(
    private readonly output: Output,
    private readonly app: string,
  ) {}

  print(lines: readonly LogLine[]): void {
    this.isInterrupted = false;
    for (const line of lines) this.output.item(line, () => this.textOf(line));
  }

  /** All there is to say. */
  document(page: { lines: readonly LogLine[] }): void {
    this.output.result(page, () => joined(page.lines.map((line) => this.textOf(line))));
  }

  /** Said once: what was written meanwhile follows when Alto is back. */
  interrupted(error: AltoError): void {
    if (!this.isInterrupted) this.output.warning(waitingSays(error.message));
    this.isInterrupted = true;
  }

  private textOf(line: LogLine): string {
    return `${this.nameOf(line)}${line.text}`;
  }

  /** Lines that Alto adds, such as an instance's end, are marked. */
  private nameOf({ instance, stream }: LogLine): string {
    const style = this.styles.get(instance) ?? styles[this.styles.size % styles.length] ?? 'cyan';
    this.styles.set(instance, style);
    const mark = stream === 'alto' ? '*' : '|';
    return `${this.output.paint(style, `${this.app}.${instance.slice(-6)} ${mark}`)} `;
  }
}

/** @returns undefined for none: an empty line would look like one */
function joined(lines: readonly string[]): string | undefined {
  return lines.length === 0 ? undefined : lines.join('\n');
}

function untilInterrupted(): AbortSignal {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  return stop.signal;
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => undefined);
}
