import type { AltoError } from '@alto/contracts';
import type { AltoClient, ReceivedEvent } from '@alto/sdk';
import { Command } from 'commander';
import { asCalled } from '../called-as';
import { examples } from '../examples';
import { waitingSays } from '../outage';
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
/** And it gives up, as other commands do, where no stream stands after so many tries or so long. */
const triesMost = 4;
const silenceMaxMs = 10_000;
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
      const place = options.cluster === true ? {} : { project: session.project };
      const begin = { ...place, after: beginOf(options) };
      if (options.follow === true) {
        for await (const received of untilInterrupted(client, begin, output))
          output.item(received, () => lineOf(received));
        return;
      }
      const items: ReceivedEvent[] = [];
      for await (const received of untilQuiet(client, begin)) {
        items.push(received);
        output.note(lineOf(received));
      }
      const nothing =
        'Nothing has happened in that time. `alto events -f` waits for what comes; --since goes further back.';
      output.result({ items }, () => (items.length === 0 ? asCalled(nothing) : undefined));
    });
}

function lineOf({ event }: ReceivedEvent): string {
  return `${event.time}  ${event.type.padEnd(28)}  ${event.subject}`;
}

interface Begin {
  project?: string;
  after?: string;
}

/** Goes on through any loss of the connection, which is said once. */
async function* untilInterrupted(client: AltoClient, begin: Begin, output: Output): AsyncGenerator<ReceivedEvent> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt);
  let isTold = false;
  const onLost = ({ message }: AltoError) => {
    if (!isTold) output.warning(waitingSays(message));
    isTold = true;
  };
  try {
    yield* client.follow({ ...begin, signal: stop.signal, onConnected: () => (isTold = false), onLost });
  } finally {
    process.off('SIGINT', interrupt);
  }
}

/** @throws AltoError where no stream stands: what is printed would not be all there is */
async function* untilQuiet(client: AltoClient, begin: Begin): AsyncGenerator<ReceivedEvent> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt);
  const startedAt = Date.now();
  let quiet: NodeJS.Timeout | undefined;
  let losses = 0;
  const wait = () => {
    losses = 0;
    clearTimeout(quiet);
    quiet = setTimeout(interrupt, quietMs);
  };
  const onLost = (error: AltoError) => {
    clearTimeout(quiet);
    if (++losses >= triesMost || Date.now() - startedAt >= silenceMaxMs) throw error;
  };
  try {
    for await (const event of client.follow({
      ...begin,
      signal: stop.signal,
      silenceMaxMs,
      onConnected: wait,
      onLost,
    })) {
      wait();
      yield event;
    }
  } finally {
    clearTimeout(quiet);
    process.off('SIGINT', interrupt);
  }
}

/** Where a stream that began at that time would stand. */
function beginOf({ after, since, follow }: EventOptions): string | undefined {
  if (after !== undefined) return after;
  const pastMs = since ?? (follow === true ? undefined : usualPastMs);
  return pastMs === undefined ? undefined : `1.t${Date.now() - pastMs}`;
}
