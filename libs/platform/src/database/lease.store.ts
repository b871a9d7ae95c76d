/**
 * Leases in two tables. Renewing touches the heartbeat alone; taking over locks the token and increments its fencing
 * number; every write under a lease holds the token's row `FOR SHARE` until it commits. So a take-over waits for the
 * writes it would overtake, and a write that comes after it sees the new number: "check, then write" races without
 * the lock (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
 *
 * Whether a lease has expired is judged by the database's clock alone. Lock order: token, then heartbeat.
 */
import { AltoError } from '@alto/contracts';
import type { Query } from './rows';

export interface LeaseState {
  /** Milliseconds until it expires; 0 when it has, or nobody ever held it. */
  readonly remainingMs: number;
}

/** Looks without locking: taking over is worth a try when nothing remains. */
export async function leaseState(query: Query, name: string): Promise<LeaseState> {
  const { rows } = await query<{ remaining_ms: number }>(
    `SELECT GREATEST(0, EXTRACT(EPOCH FROM expires_at - clock_timestamp()) * 1000)::float8 AS remaining_ms
     FROM alto_lease_heartbeat WHERE name = $1`,
    [name],
  );
  return { remainingMs: rows[0]?.remaining_ms ?? 0 };
}

/**
 * Takes the lease when it has expired; the caller commits.
 * @returns the new fencing number, or undefined when someone else holds it
 */
export async function takeLease(
  query: Query,
  name: string,
  holder: string,
  ttlMs: number,
): Promise<number | undefined> {
  // A candidate must not wait for ever behind a frozen holder's open write.
  await query("SELECT set_config('lock_timeout', $1, true)", [String(ttlMs)]);
  await query("INSERT INTO alto_lease_token (name, holder, fencing) VALUES ($1, '', 0) ON CONFLICT DO NOTHING", [name]);
  await query('SELECT 1 FROM alto_lease_token WHERE name = $1 FOR UPDATE', [name]);
  const heartbeat = await query<{ expired: boolean }>(
    'SELECT expires_at <= clock_timestamp() AS expired FROM alto_lease_heartbeat WHERE name = $1 FOR UPDATE',
    [name],
  );
  if (heartbeat.rows[0]?.expired === false) return undefined;
  const token = await query<{ fencing: number }>(
    'UPDATE alto_lease_token SET fencing = fencing + 1, holder = $2 WHERE name = $1 RETURNING fencing',
    [name, holder],
  );
  const fencing = Number(token.rows[0]!.fencing);
  await query(
    `INSERT INTO alto_lease_heartbeat (name, fencing, expires_at)
     VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
     ON CONFLICT (name) DO UPDATE SET fencing = excluded.fencing, expires_at = excluded.expires_at`,
    [name, fencing, ttlMs],
  );
  return fencing;
}

/** @returns false when someone else has taken over: there is nothing left to renew */
export async function renewLease(query: Query, name: string, fencing: number, ttlMs: number): Promise<boolean> {
  const { affected } = await query(
    `UPDATE alto_lease_heartbeat SET expires_at = clock_timestamp() + $3 * interval '1 millisecond'
     WHERE name = $1 AND fencing = $2`,
    [name, fencing, ttlMs],
  );
  return affected === 1;
}

/** Lets the next candidate in at once; does nothing when someone else has taken over. */
export async function releaseLease(query: Query, name: string, fencing: number): Promise<void> {
  await query('UPDATE alto_lease_heartbeat SET expires_at = clock_timestamp() WHERE name = $1 AND fencing = $2', [
    name,
    fencing,
  ]);
}

/**
 * The first statement of every write under a lease: from here to the commit no one can take over.
 * @param idleMs how long the transaction may stand still or a statement run before PostgreSQL ends it, so that a
 *   frozen holder cannot keep its successor out
 * @throws AltoError stale_writer when someone has taken over
 */
export async function fenceWrite(query: Query, name: string, fencing: number, idleMs: number): Promise<void> {
  const { rows } = await query<{ fencing: number }>(
    `SELECT fencing, set_config('idle_in_transaction_session_timeout', $2, true), set_config('statement_timeout', $2, true)
     FROM alto_lease_token WHERE name = $1 FOR SHARE`,
    [name, String(idleMs)],
  );
  const current = rows[0] === undefined ? undefined : Number(rows[0].fencing);
  if (current !== fencing) throw staleWriter(name, fencing);
}

export function staleWriter(name: string, fencing: number): AltoError {
  return new AltoError('stale_writer', {
    message: `The lease ${name} (number ${fencing}) has been lost; another instance goes on.`,
    details: { lease: name, fencing },
  });
}
