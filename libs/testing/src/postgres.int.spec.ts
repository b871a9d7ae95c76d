import pg from 'pg';
import { startPostgres } from './postgres';

it('a server that is killed has what it had acknowledged', async () => {
  const server = await startPostgres();
  const query = async (text: string) => {
    const client = new pg.Client({ connectionString: server.url() });
    client.on('error', () => {});
    await client.connect();
    const { rows } = await client.query<{ count: number }>(text);
    return { rows, client };
  };
  try {
    await query('CREATE TABLE acknowledged ()');
    for (let kill = 1; kill <= 3; kill++) {
      await query('INSERT INTO acknowledged DEFAULT VALUES');
      await server.kill();
      await server.start();
      const { rows, client } = await query('SELECT count(*)::int FROM acknowledged');
      await client.end();
      expect(rows).toEqual([{ count: kill }]);
    }
  } finally {
    await server.stop();
  }
});
