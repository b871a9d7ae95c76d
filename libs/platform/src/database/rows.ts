/** One way to run SQL for the platform's own stores, over a transaction, the pool or a connection of its own. */
import type { EntityManager, QueryRunner } from 'typeorm';

export interface QueryOutcome<Row> {
  readonly rows: Row[];
  /** Rows that an INSERT, UPDATE or DELETE touched. */
  readonly affected: number;
}

export type Query = <Row = Record<string, unknown>>(
  sql: string,
  parameters?: readonly unknown[],
) => Promise<QueryOutcome<Row>>;

/** Runs in the transaction. (TypeORM's own `query` returns a different shape for each kind of statement.) */
export function queryIn(transaction: EntityManager): Query {
  const { queryRunner } = transaction;
  if (queryRunner === undefined) throw new Error('queryIn needs the manager that a transaction hands out');
  return queryOn(queryRunner);
}

export function queryOn(runner: QueryRunner): Query {
  return async <Row>(sql: string, parameters: readonly unknown[] = []) => {
    const result = await runner.query(sql, [...parameters], true);
    return { rows: (result.records ?? []) as Row[], affected: result.affected ?? 0 };
  };
}
