import { Injectable } from '@nestjs/common';
import { Database } from '@alto/platform';
import { IdempotentRequestEntity } from './idempotent-request.entity';

export interface Claim {
  readonly name: string;
  readonly requestHash: string;
  readonly attempt: string;
  readonly at: Date;
  readonly busyUntil: Date;
}

/** One row for the first request of a name; later ones with the same content take it over when nobody works on it. */
const claim = `
  INSERT INTO idempotent_requests AS present (name, request_hash, attempt, at, busy_until)
  VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (name) DO UPDATE SET attempt = excluded.attempt, busy_until = excluded.busy_until
  WHERE present.answer IS NULL AND present.busy_until <= excluded.at AND present.request_hash = excluded.request_hash`;

@Injectable()
export class IdempotentRequestsStore {
  constructor(private readonly database: Database) {}

  /** @returns whether the attempt is the one to work on the request */
  async claim({ name, requestHash, attempt, at, busyUntil }: Claim): Promise<boolean> {
    const { affected } = await this.database.query(claim, [name, requestHash, attempt, at, busyUntil]);
    return affected === 1;
  }

  async find(name: string): Promise<IdempotentRequestEntity | undefined> {
    return (await this.database.manager.findOneBy(IdempotentRequestEntity, { name })) ?? undefined;
  }

  /** Nobody takes over from the attempt until then; nothing where somebody has. */
  async renew(name: string, attempt: string, busyUntil: Date): Promise<void> {
    await this.database.query(
      'UPDATE idempotent_requests SET busy_until = $3 WHERE name = $1 AND attempt = $2 AND answer IS NULL',
      [name, attempt, busyUntil],
    );
  }

  /** Of an attempt that was taken over nothing is kept: who took over has heard the answer that counts. */
  async keep(name: string, attempt: string, answer: Buffer): Promise<void> {
    await this.database.query(
      'UPDATE idempotent_requests SET answer = $3 WHERE name = $1 AND attempt = $2 AND answer IS NULL',
      [name, attempt, answer],
    );
  }

  /** Whoever sends the request again works on it at once. */
  async release(name: string, attempt: string): Promise<void> {
    await this.database.query(
      `UPDATE idempotent_requests SET busy_until = 'epoch' WHERE name = $1 AND attempt = $2 AND answer IS NULL`,
      [name, attempt],
    );
  }

  /** @returns how many were deleted, at most `count` */
  async deleteBefore(before: Date, count: number): Promise<number> {
    const { affected } = await this.database.query(
      'DELETE FROM idempotent_requests WHERE name IN (SELECT name FROM idempotent_requests WHERE at < $1 LIMIT $2)',
      [before, count],
    );
    return affected;
  }
}
