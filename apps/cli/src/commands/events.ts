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

/** Without -f, what has happened is printed, and the command ends where nothing comes for this long. */
const quietMs = 1_500;
/** And it gives up, as other commands do, where no stream stands after so many tries or so long. */
const triesMost = 4;
const silenceMaxMs = 10_000;
const usualPastMs = 3_600_000;

const bounds = `
Without -f it ends by itself: with the first event that happens once it has begun, or when none comes for ${quietMs / 1_000} s.
Where no stream of events is to be had it gives up, after ${triesMost} tries or ${silenceMaxMs / 1_000} s. --since counts by the clock of this machine.`;

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
    .addHelpText('after', bounds)
    .action(async (options: EventOptions) => {
      const client = await session.client();
      const place = options.cluster === true ? {} : { project: session.project };
      const fromMs = beginOf(options);
      const begin = { ...place, after: options.after ?? (fromMs === undefined ? undefined : `1.t${fromMs}`) };
      // The API begins a minute earlier, for events that came late.
      const isEarlier = ({ event }: ReceivedEvent) => Date.parse(event.time) < (fromMs ?? -Infinity);
      if (options.follow === true) {
        for await (const received of untilInterrupted(client, begin, output))
          if (!isEarlier(received)) output.item(received, () => lineOf(received));
        return;
      }
      const items: ReceivedEvent[] = [];
      for await (const received of untilNow(client, begin)) {
        if (isEarlier(received)) continue;
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

/**
 * Another stream, which begins now, tells which event is the last one: no two clocks have to agree for that.
 * @throws AltoError where no stream stands: what is printed would not be all there is
 */
async function* untilNow(client: AltoClient, begin: Begin): AsyncGenerator<ReceivedEvent> {
  const stop = new AbortController();
  const end = () => stop.abort();
  process.once('SIGINT', end);
  const seen = new Set<string>();
  let last: string | undefined;
  let failure: unknown;
  firstFromNow(client, begin.project, stop.signal).then(
    (id) => {
      last = id;
      if (id !== undefined && seen.has(id)) end();
    },
    (error: unknown) => {
      failure = error;
      end();
    },
  );
  try {
    for await (const received of untilQuiet(client, begin, stop)) {
      seen.add(received.event.id);
      yield received;
      if (received.event.id === last) return;
    }
    if (failure !== undefined) throw failure;
  } finally {
    process.off('SIGINT', end);
    end();
  }
}

/** @returns its id; undefined where the signal aborts before anything happens */
async function firstFromNow(
  client: AltoClient,
  project: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  let losses = 0;
  const onConnected = () => (losses = 0);
  const onLost = (error: AltoError) => {
    if (++losses >= triesMost) throw error;
  };
  for await (const { event } of client.follow({ project, signal, onConnected, onLost })) return event.id;
  return undefined;
}

async function* untilQuiet(client: AltoClient, begin: Begin, stop: AbortController): AsyncGenerator<ReceivedEvent> {
  let aliveAt = Date.now();
  let quiet: NodeJS.Timeout | undefined;
  let losses = 0;
  const wait = () => {
    losses = 0;
    clearTimeout(quiet);
    quiet = setTimeout(() => stop.abort(), quietMs);
  };
  const onLost = (error: AltoError) => {
    clearTimeout(quiet);
    if (++losses >= triesMost || Date.now() - aliveAt >= silenceMaxMs) throw error;
  };
  const callbacks = { onConnected: wait, onLost };
  try {
    for await (const event of client.follow({ ...begin, signal: stop.signal, silenceMaxMs, ...callbacks })) {
      aliveAt = Date.now();
      wait();
      yield event;
    }
  } finally {
    clearTimeout(quiet);
  }
}

/** @returns a time, in Unix milliseconds; undefined where it begins at a position, or now */
function beginOf({ after, since, follow }: EventOptions): number | undefined {
  if (after !== undefined) return undefined;
  const pastMs = since ?? (follow === true ? undefined : usualPastMs);
  return pastMs === undefined ? undefined : Date.now() - pastMs;
}
