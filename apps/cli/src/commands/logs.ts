import type { LogLine } from '@alto/contracts';
import { setTimeout } from 'node:timers/promises';
import { Command } from 'commander';
import { examples } from '../examples';
import { CommandError, exitCodes } from '../failure';
import type { Output } from '../output';
import type { Session } from '../session';

interface LogOptions {
  follow?: boolean;
  instance?: string;
  lines: string;
}

const pauseMs = 1_000;

export function logsCommand(session: Session, output: Output): Command {
  return new Command('logs')
    .description("Show the last lines of an app's logs, or of one of Alto's own workloads")
    .argument('[app]', 'name of the app')
    .option('-f, --follow', 'go on until interrupted')
    .option('-n, --lines <count>', 'how many lines to begin with', '100')
    .option('--instance <id>', 'of this instance alone')
    .option('--workload <id>', "of one of Alto's own workloads on this machine, e.g. gateway.0")
    .addHelpText(
      'after',
      examples([
        ['alto logs hello -f', 'watch an app'],
        ['alto logs --workload compute.0', "see what one of Alto's services says"],
      ]),
    )
    .action(async (app: string | undefined, options: LogOptions & { workload?: string }) => {
      if (options.workload !== undefined) {
        const logs = await session.agent.logs(options.workload, Number(options.lines));
        output.result(logs, () => logs.lines.map(({ text }) => text).join('\n'));
        return;
      }
      if (app === undefined) throw new CommandError('Say which app.', '`alto apps` lists them.', exitCodes.usage);
      await showLogs(session, output, app, options);
    });
}

async function showLogs(session: Session, output: Output, app: string, options: LogOptions): Promise<void> {
  const client = await session.client();
  const address = {
    project: session.project,
    app,
    ...(options.instance !== undefined && { instance: options.instance }),
  };
  const print = (lines: readonly LogLine[]) => {
    for (const line of lines) output.item(line, () => `${output.paint('dim', line.instance.slice(-6))}  ${line.text}`);
  };
  let page = await client.logs.read({ ...address, lines: Number(options.lines) } as never);
  print(page.lines);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  while (options.follow === true && !stop.signal.aborted) {
    if (page.lines.length === 0) await pause(pauseMs, stop.signal);
    page = await client.logs.read({ ...address, cursor: page.cursor, lines: 1_000 } as never);
    print(page.lines);
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => undefined);
}
