/**
 * Positions in the event stream, the `id` of server-sent events: `<sequence>.<event id>`, or `<sequence>.t<ms>` for the
 * place where a stream began. The part after the dot proves that the sequence still means what it did: NATS may have
 * come back without its tail and given the same number to another event.
 */
import { AltoError } from '@alto/contracts';

export type Position =
  { sequence: number; eventId: string; atMs: number } | { sequence: number; eventId?: undefined; atMs: number };

const POSITION = /^(\d{1,15})\.(?:(evt_[0-9a-hjkmnp-tv-z]{26})|t(\d{1,15}))$/;
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

export function formatPosition(sequence: number, eventId: string): string {
  return `${sequence}.${eventId}`;
}

export function formatStart(sequence: number, atMs: number): string {
  return `${sequence}.t${atMs}`;
}

/** @throws AltoError invalid_request for a position that no stream of Alto has given. */
export function parsePosition(text: string): Position {
  const [, sequence, eventId, atMs] = POSITION.exec(text) ?? [];
  if (sequence === undefined) {
    throw new AltoError('invalid_request', {
      message: 'Last-Event-ID: is not a position in this stream',
      field: 'Last-Event-ID',
      nextStep:
        'Send the id of the last event that was received, or leave the header out to begin with what comes next.',
    });
  }
  if (eventId === undefined) return { sequence: Number(sequence), atMs: Number(atMs) };
  return { sequence: Number(sequence), eventId, atMs: timeOfId(eventId) };
}

/** Unix milliseconds at which an id was made: its first ten characters. */
function timeOfId(id: string): number {
  const digits = id.slice(id.indexOf('_') + 1).slice(0, 10);
  return [...digits].reduce((ms, digit) => ms * 32 + ALPHABET.indexOf(digit), 0);
}
