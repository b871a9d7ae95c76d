import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';

interface EventOptions {
  follow?: boolean;
  after?: string;
  cluster?: boolean;
}

/** Without -f, what was missed since `after` is printed, and the command ends once nothing comes for a while. */
const quietMs = 1_500;

export function eventsCommand(session: Session, output: Output): Command {
  return new Command('events')
    .description('Show the events of the project')
    .option('-f, --follow', 'go on until interrupted')
    .option('--after <position>', 'begin after this position, as printed with --json')
    .option('--cluster', 'events of the whole cluster, for operators')
    .addHelpText(
      'after',
      examples([
        ['alto events -f', 'watch what happens'],
        ['alto events -f --json | jq .event.type', 'one JSON object on each line'],
      ]),
    )
    .action(async (options: EventOptions) => {
      const client = await session.client();
      const stop = new AbortController();
      const interrupt = () => stop.abort();
      process.once('SIGINT', interrupt);
      let quiet: NodeJS.Timeout | undefined;
      const restartQuiet = () => {
        clearTimeout(quiet);
        if (options.follow !== true) quiet = setTimeout(interrupt, quietMs);
      };
      const place = options.cluster === true ? {} : { project: session.project };
      const events = client.follow({ ...place, signal: stop.signal, after: options.after, onConnected: restartQuiet });
      try {
        for await (const { position, event } of events) {
          restartQuiet();
          output.item({ position, event }, () => `${event.time}  ${event.type.padEnd(28)}  ${event.subject}`);
        }
      } finally {
        clearTimeout(quiet);
        process.off('SIGINT', interrupt);
      }
    });
}
