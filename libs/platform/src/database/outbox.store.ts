/** The outbox's table: what waits to be published, what was, and where in the stream it lies. */
import type { Query } from './rows';

export interface WaitingEvent {
  readonly id: string;
  readonly resource: string;
  readonly subject: string;
  readonly body: string;
}

export interface NewEvent extends WaitingEvent {
  readonly resourceVersion: number;
}

/** Where a stream acknowledged an event. */
export interface PublishedEvent {
  readonly id: string;
  readonly sequence: number;
}

export async function insertEvent(query: Query, event: NewEvent): Promise<void> {
  await query('INSERT INTO alto_outbox (id, resource, resource_version, subject, body) VALUES ($1, $2, $3, $4, $5)', [
    event.id,
    event.resource,
    event.resourceVersion,
    event.subject,
    event.body,
  ]);
}

/**
 * What waits, whatever its position: a transaction that took a lower position may commit after a higher one was
 * published. Within a resource the rows come in order and without a gap at the front, which the list of resources
 * gives and positions alone would not on a database that hands them out in blocks.
 */
export async function waitingEvents(query: Query, max: number): Promise<WaitingEvent[]> {
  const { rows } = await query<WaitingEvent>(
    `SELECT id, resource, subject, body FROM alto_outbox
     WHERE published_sequence IS NULL AND resource IN (
       SELECT resource FROM alto_outbox WHERE published_sequence IS NULL ORDER BY position LIMIT $1
     )
     ORDER BY resource, resource_version, position LIMIT $1`,
    [max],
  );
  return rows;
}

/** A look that costs next to nothing when nothing waits. */
export async function anyWaiting(query: Query): Promise<boolean> {
  const { rows } = await query('SELECT 1 FROM alto_outbox WHERE published_sequence IS NULL LIMIT 1');
  return rows.length > 0;
}

export async function recordPublished(
  query: Query,
  events: readonly PublishedEvent[],
  stream: string,
  at: Date,
): Promise<void> {
  await query(
    `UPDATE alto_outbox SET published_sequence = done.sequence, published_stream = $3, published_at = $4
     FROM unnest($1::text[], $2::bigint[]) AS done(id, sequence) WHERE alto_outbox.id = done.id`,
    [events.map(({ id }) => id), events.map(({ sequence }) => sequence), stream, at],
  );
}

/** Published events of the given stream, from the last one back. */
export async function lastPublished(
  query: Query,
  stream: string,
  offset: number,
  max: number,
): Promise<PublishedEvent[]> {
  const { rows } = await query<PublishedEvent>(
    `SELECT id, published_sequence::float8 AS sequence FROM alto_outbox WHERE published_sequence IS NOT NULL AND published_stream = $1
     ORDER BY published_sequence DESC OFFSET $2 LIMIT $3`,
    [stream, offset, max],
  );
  return rows;
}

/** Makes events wait again that a stream lost from the given sequence on. @returns how many */
export async function unpublishFrom(query: Query, stream: string, sequence: number, max: number): Promise<number> {
  return unpublish(query, 'published_stream = $1 AND published_sequence >= $2', [stream, sequence], max);
}

/** Makes events wait again that were published to a stream that is no more. @returns how many */
export async function unpublishOtherStreams(query: Query, stream: string, max: number): Promise<number> {
  return unpublish(query, 'published_stream <> $1', [stream], max);
}

/** The newest first: cut off midway, what is left still ends where the loss begins. */
async function unpublish(query: Query, where: string, parameters: readonly unknown[], max: number): Promise<number> {
  const { affected } = await query(
    `UPDATE alto_outbox SET published_sequence = NULL, published_stream = NULL, published_at = NULL WHERE id IN (
       SELECT id FROM alto_outbox WHERE published_sequence IS NOT NULL AND ${where}
       ORDER BY published_sequence DESC LIMIT $${parameters.length + 1}
     )`,
    [...parameters, max],
  );
  return affected;
}

/** Forgets published events older than `before`, and all but the newest `keepMax`. @returns how many this call forgot */
export async function prunePublished(query: Query, before: Date, keepMax: number, max: number): Promise<number> {
  const old = await query(
    `DELETE FROM alto_outbox WHERE id IN (
       SELECT id FROM alto_outbox WHERE published_sequence IS NOT NULL AND published_at < $1 ORDER BY published_sequence LIMIT $2
     )`,
    [before, max],
  );
  const beyond = await query(
    `DELETE FROM alto_outbox WHERE id IN (
       SELECT id FROM alto_outbox WHERE published_sequence IS NOT NULL ORDER BY published_sequence DESC OFFSET $1 LIMIT $2
     )`,
    [keepMax, max],
  );
  return old.affected + beyond.affected;
}
