/**
 * Publishes what waits in the outbox to the stream of events: each resource's events one at a time and in order,
 * resources side by side, at least once, and under the event's id so that a repetition can be told.
 *
 * PostgreSQL is the truth and JetStream the carrier, which flushes to disk every two minutes and may be set back to an
 * older copy. So each session with NATS (one connection that never reconnects by itself) begins with a look at whether
 * the stream still holds what it acknowledged; what it lost is published again, in order, before anything new.
 *
 * Two relays at once, one of them a frozen one that woke up, do no harm: either publishes a resource's next event only
 * after the stream has acknowledged the one before, so first occurrences stay in order; recording is fenced.
 */
import { AltoError } from '@alto/contracts';
import { Bell } from '../service/bell';
import type { Log } from '../service/log';
import type { Clock } from './clock';
import type { Database } from './database';
import { type EventsStream } from './events-stream';
import type { Lease, LeaseHolding, Leases } from './leases';
import { forgetOnce, onceKeptMs } from './once';
import type { Outbox } from './outbox';
import {
  anyWaiting,
  lastPublished,
  prunePublished,
  type PublishedEvent,
  recordPublished,
  unpublishFrom,
  unpublishOtherStreams,
  type WaitingEvent,
  waitingEvents,
} from './outbox.store';
import { backoffMs, pause } from './pause';
import { queryIn } from './rows';

export const relayLease = 'outbox-relay';

export interface RelaySettings {
  /** Events of other instances of the service are seen after this long; those of this one at once. */
  readonly pollEveryMs: number;
  /** How long, and how many, published events are kept to be published again should NATS lose them. */
  readonly keepMs: number;
  readonly keepMax: number;
}

export const relayDefaults: RelaySettings = { pollEveryMs: 500, keepMs: 24 * 3_600_000, keepMax: 100_000 };

export interface RelayParts {
  readonly database: Database;
  readonly outbox: Outbox;
  readonly leases: Leases;
  readonly clock: Clock;
  readonly log: Log;
  /** Begins a session with NATS. */
  readonly open: () => Promise<EventsStream>;
}

const batchMax = 500;
const resourcesInFlightMax = 64;
const pruneEveryMs = 60_000;
const pruneBatchesMax = 20;
const searchPage = 256;
const reopenFirstMs = 100;
const reopenMaxMs = 5_000;
const finishWithinMs = 2_000;

export class Relay {
  /** What this process has done, for metrics. */
  readonly statistics = { waiting: 0, published: 0, publishedAgain: 0 };
  private readonly bell = new Bell();
  private readonly finished = new AbortController();
  private finishing = false;
  private failures = 0;
  private prunedAtMs = Number.NEGATIVE_INFINITY;
  private holding: LeaseHolding | undefined;
  private stopListening: (() => void) | undefined;

  constructor(
    private readonly parts: RelayParts,
    private readonly settings: RelaySettings = relayDefaults,
  ) {}

  start(): void {
    this.stopListening = this.parts.outbox.onAppended(() => this.bell.ring());
    this.holding = this.parts.leases.hold(relayLease, (lease) => this.relay(lease));
  }

  /** Publishes what this process has left to publish, within bounds, and gives the lease back. */
  async stop(): Promise<void> {
    this.finishing = true;
    this.bell.ring();
    if (this.holding?.held === true) await pause(finishWithinMs, this.finished.signal);
    this.stopListening?.();
    await this.holding?.stop();
  }

  private async relay(lease: Lease): Promise<void> {
    while (!lease.signal.aborted && !this.finishing) {
      try {
        await this.session(lease);
      } catch (error) {
        if (error instanceof AltoError && error.code === 'stale_writer') throw error;
        if (this.failures++ % 50 === 0) this.parts.log.warn('Events wait to be published; trying on', { error });
        await pause(backoffMs(this.failures, reopenFirstMs, reopenMaxMs), lease.signal);
      }
    }
    this.finished.abort();
  }

  /** From one connection to NATS to its end. */
  private async session(lease: Lease): Promise<void> {
    const stream = await this.parts.open();
    try {
      const ended = new AbortController();
      void stream.closed.then(() => ended.abort());
      const signal = AbortSignal.any([lease.signal, ended.signal]);
      await this.republishLost(lease, stream);
      let more = true;
      while (!signal.aborted) {
        if (more) more = await this.publishWaiting(lease, stream, signal);
        this.failures = 0;
        await this.prune();
        if (more) continue;
        if (this.finishing) return;
        more = (await this.bell.wait(this.settings.pollEveryMs, signal)) || (await this.othersWait());
      }
      if (!lease.signal.aborted) throw new Error('The connection to NATS ended.');
    } finally {
      await stream.close();
    }
  }

  /** Makes wait again what the stream has acknowledged and no longer holds. */
  private async republishLost(lease: Lease, stream: EventsStream): Promise<void> {
    const { incarnation } = stream;
    let lost = await this.inBatches(lease, (query) => unpublishOtherStreams(query, incarnation, batchMax));
    const from = await this.lossBegins(stream);
    if (from !== undefined)
      lost += await this.inBatches(lease, (query) => unpublishFrom(query, incarnation, from, batchMax));
    if (lost === 0) return;
    this.statistics.publishedAgain += lost;
    this.parts.log.warn('NATS lost events that it had acknowledged; publishing them again', { events: lost });
  }

  /** The lowest sequence that was lost. What a stream loses is always its tail, so the place can be searched by halving. */
  private async lossBegins(stream: EventsStream): Promise<number | undefined> {
    let lost: number | undefined;
    for (let offset = 0; ; offset += searchPage) {
      const page = await lastPublished(this.parts.database.query, stream.incarnation, offset, searchPage);
      if (page.length === 0 || (await stream.holds(page[0]!))) return lost;
      let low = 1;
      let high = page.length;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        if (await stream.holds(page[middle]!)) high = middle;
        else low = middle + 1;
      }
      lost = page[low - 1]!.sequence;
      if (low < page.length) return lost;
    }
  }

  private async inBatches(lease: Lease, step: (query: ReturnType<typeof queryIn>) => Promise<number>): Promise<number> {
    for (let total = 0; ;) {
      const touched = await lease.transaction((transaction) => step(queryIn(transaction)));
      total += touched;
      if (touched < batchMax) return total;
    }
  }

  /** Events of other instances. Asked on the connection set apart, so that an idle service needs no other. */
  private othersWait(): Promise<boolean> {
    return anyWaiting(this.parts.database.control);
  }

  /** @returns whether more may be waiting */
  private async publishWaiting(lease: Lease, stream: EventsStream, signal: AbortSignal): Promise<boolean> {
    const waiting = await waitingEvents(this.parts.database.query, batchMax);
    this.statistics.waiting = waiting.length;
    if (waiting.length === 0) return false;
    // A stream that a person made anew does not end the connection.
    if (!(await stream.unchanged())) throw new Error('The stream of events was made anew.');
    const published: PublishedEvent[] = [];
    const failures = await eachResource(waiting, async (event) => {
      if (signal.aborted) throw new Error('The connection to NATS ended.');
      published.push({ id: event.id, sequence: await stream.publish(event) });
    });
    if (published.length > 0) {
      const at = this.parts.clock.now();
      await lease.transaction((transaction) =>
        recordPublished(queryIn(transaction), published, stream.incarnation, at),
      );
    }
    this.statistics.published += published.length;
    this.statistics.waiting -= published.length;
    if (failures.length > 0) throw failures[0];
    return true;
  }

  /** Forgets what the platform keeps for a time only: published events, and answers of requests done once. */
  private async prune(): Promise<void> {
    if (performance.now() - this.prunedAtMs < pruneEveryMs) return;
    this.prunedAtMs = performance.now();
    const { database, clock } = this.parts;
    const published = new Date(clock.nowMs() - this.settings.keepMs);
    await pruneInBatches(() => prunePublished(database.query, published, this.settings.keepMax, batchMax));
    const answered = new Date(clock.nowMs() - onceKeptMs);
    await pruneInBatches(() => forgetOnce(database.query, answered, batchMax));
  }
}

async function pruneInBatches(step: () => Promise<number>): Promise<void> {
  for (let batch = 0; batch < pruneBatchesMax; batch++) if ((await step()) < batchMax) return;
}

/**
 * Visits each resource's events one after the other, and some resources at a time. A failure ends the visits to its
 * resource: what comes after must not overtake it. @returns the failures
 */
async function eachResource(
  events: readonly WaitingEvent[],
  visit: (event: WaitingEvent) => Promise<void>,
): Promise<unknown[]> {
  const resources = Map.groupBy(events, ({ resource }) => resource).values();
  const failures: unknown[] = [];
  const visitor = async () => {
    // The iterator is shared: each visitor takes the next resource that nobody has taken.
    for (const ofResource of resources) {
      try {
        for (const event of ofResource) await visit(event);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: resourcesInFlightMax }, visitor));
  return failures;
}
