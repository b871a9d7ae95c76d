/** Everything that services keep in their databases, but for what moves by itself and what is noted of requests. */
import pg from 'pg';

const tablesLeftOut = /^(alto_lease|alto_migration|alto_once|idempotent_requests|rate_limit|audit)/;
/** Of the outbox counts what is to be told, not whether it was told yet; of a proxy not what it reports every few seconds. */
const columnsLeftOut = /^(last_used_at|last_seen_at|seen_at|heartbeats|published_.*|applied_generation|busy)$/;

/** @returns rows as JSON by `<service>.<table>` */
export async function rowsOf(
  processes: readonly { service: string; databaseUrl: string }[],
): Promise<Record<string, string[]>> {
  const all = await Promise.all(
    processes.map(async ({ service, databaseUrl }) => {
      const client = new pg.Client({ connectionString: databaseUrl });
      await client.connect();
      try {
        return await tablesOf(client, service);
      } finally {
        await client.end();
      }
    }),
  );
  return Object.fromEntries(all.flat());
}

async function tablesOf(client: pg.Client, service: string): Promise<[string, string[]][]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`,
  );
  const tables: [string, string[]][] = [];
  for (const { name } of rows.filter((table) => !tablesLeftOut.test(table.name))) {
    const found = await client.query<Record<string, unknown>>(`SELECT * FROM "${name}"`);
    tables.push([`${service}.${name}`, found.rows.filter(isKept).map(asText).sort()]);
  }
  return tables;
}

/** Nothing refers to a blob that is condemned: the sweeper removes it when it comes by. */
function isKept({ state }: Record<string, unknown>): boolean {
  return state !== 'condemned';
}

function asText(row: Record<string, unknown>): string {
  return JSON.stringify(Object.entries(row).filter(([column]) => !columnsLeftOut.test(column)));
}
