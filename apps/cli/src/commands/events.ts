import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { duration } from './duration';

interface EventOptions {
  follow?: boolean;
  after?: string;
  since?: number;
  cluster?: boolean;
}

/** Without -f, what has happened is printed, and the command ends once nothing comes for a while. */
const quietMs = 1_500;
const usualPastMs = 3_600_000;

export function eventsCommand(session: Session, output: Output): Command {
  return new Command('events')
    .description('Show the events of the project')
    .option('-f, --follow', 'go on until interrupted')
    .option('--since <time>', 'begin this long ago, e.g. 30s, 10m, 2h or 7d; an hour unless -f is given', duration)
    .option('--after <position>', 'begin after this position, as printed with --json')
    .option('--cluster', 'events of the whole cluster, for operators')
    .addHelpText(
      'after',
      examples([
        ['alto events', 'what has happened in the last hour'],
        ['alto events -f', 'watch what happens'],
        ['alto events --since 2d', 'what has happened in two days'],
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
      const events = client.follow({
        ...place,
        signal: stop.signal,
        after: beginOf(options),
        onConnected: restartQuiet,
      });
      let seen = 0;
      try {
        for await (const { position, event } of events) {
          restartQuiet();
          seen++;
          output.item({ position, event }, () => `${event.time}  ${event.type.padEnd(28)}  ${event.subject}`);
        }
      } finally {
        clearTimeout(quiet);
        process.off('SIGINT', interrupt);
      }
      if (seen === 0 && options.follow !== true)
        output.note(
          'Nothing has happened in that time. `alto events -f` waits for what comes; --since goes further back.',
        );
    });
}

/** Where a stream that began at that time would stand. */
function beginOf({ after, since, follow }: EventOptions): string | undefined {
  if (after !== undefined) return after;
  const pastMs = since ?? (follow === true ? undefined : usualPastMs);
  return pastMs === undefined ? undefined : `1.t${Date.now() - pastMs}`;
}
