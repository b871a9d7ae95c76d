import { Injectable } from '@nestjs/common';
import { Database } from '@alto/platform';
import { intervalUs, type RatePolicy, type Taken, toleranceUs, whatIsLeft } from './gcra.state';

const nowUs = `(extract(epoch from clock_timestamp()) * 1000000)::bigint`;

/**
 * `gcra.state.ts` in one statement: `EXCLUDED` carries the time and what is wanted, the row is locked meanwhile. The
 * time is the database's, which is the same for all gateways, whatever their own clocks say.
 */
const takeStatement = `
  INSERT INTO rate_limit_buckets AS bucket (name, at_us, wanted, granted, tat_us)
  SELECT $1, at_us, $2::bigint, least($2::bigint, $4::bigint / $3::bigint),
         at_us + least($2::bigint, $4::bigint / $3::bigint) * $3::bigint
  FROM (SELECT ${nowUs} AS at_us) AS time
  ON CONFLICT (name) DO UPDATE SET
    at_us = EXCLUDED.at_us,
    wanted = EXCLUDED.wanted,
    granted = greatest(0, least(EXCLUDED.wanted,
      (EXCLUDED.at_us + $4::bigint - greatest(bucket.tat_us, EXCLUDED.at_us)) / $3::bigint)),
    tat_us = greatest(bucket.tat_us, EXCLUDED.at_us) + $3::bigint * greatest(0, least(EXCLUDED.wanted,
      (EXCLUDED.at_us + $4::bigint - greatest(bucket.tat_us, EXCLUDED.at_us)) / $3::bigint))
  RETURNING granted, tat_us, at_us`;

/** The buckets that all gateways share. */
@Injectable()
export class BucketsStore {
  constructor(private readonly database: Database) {}

  /** @throws AltoError service_unavailable without a database */
  async take(name: string, policy: RatePolicy, wanted: number): Promise<Taken> {
    const parameters = [name, wanted, intervalUs(policy), toleranceUs(policy)];
    const { rows } = await this.database.query<{ granted: string; tat_us: string; at_us: string }>(
      takeStatement,
      parameters,
    );
    const [row] = rows;
    if (row === undefined) throw new Error(`The bucket ${name} gave no answer`);
    return { granted: Number(row.granted), ...whatIsLeft(policy, Number(row.tat_us), Number(row.at_us)) };
  }

  /** Forgets buckets that have been full for a while: they are as good as new ones. @returns how many */
  async deleteFull(countMax: number): Promise<number> {
    const { affected } = await this.database.query(
      `DELETE FROM rate_limit_buckets WHERE name IN (
         SELECT name FROM rate_limit_buckets WHERE tat_us < ${nowUs} - 60000000 LIMIT $1)`,
      [countMax],
    );
    return affected;
  }
}
