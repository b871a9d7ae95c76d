import {
  createDatabase,
  eventually,
  type NatsServer,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { Agent, request } from 'undici';
import { gatewayService } from '../gateway.module';
import { type FirstOperator, makeFirstOperator } from '../identity/first-operator.fake';

let nats: NatsServer;
let database: TestDatabase;
let operator: FirstOperator;
const agent = new Agent({ connections: 64 });

const start = async (): Promise<TestService> => {
  // Longer than in production: on a busy machine the checks below, which are in this process as well, come late.
  const settings = { ...operator.settings, ALTO_LAME_DUCK_MS: '5000' };
  const gateway = await startTestService(gatewayService, { natsUrl: nats.url, databaseUrl: database.url, settings });
  await eventually(async () => expect(await isReady(gateway.url)).toBe(true));
  return gateway;
};

async function isReady(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(`${url}/readyz`);
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}

beforeAll(async () => {
  nats = await startNats();
  operator = makeFirstOperator();
  const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
  database = await createDatabase({ name: 'gateway', entities, migrations });
});

afterAll(async () => {
  await agent.close();
  await database?.drop();
  await nats?.stop();
  operator?.remove();
});

it('fails no request while gateways are replaced one by one behind a load balancer', async () => {
  const gateways = [await start(), await start()];
  let targets = gateways.map(({ url }) => url);
  const failures: unknown[] = [];
  let done = false;
  // What HAProxy does: it asks each target every 100 ms, and sends requests to those that are ready.
  const check = async () => {
    while (!done) {
      const ready = await Promise.all(gateways.map(async ({ url }) => ((await isReady(url)) ? [url] : [])));
      targets = ready.flat();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  let answered = 0;
  const client = async (turn: number) => {
    while (!done) {
      const target = targets[turn++ % targets.length];
      try {
        const headers = { authorization: `Bearer ${operator.key}` };
        const { statusCode, body } = await request(`${target}/v1/projects`, { dispatcher: agent, headers });
        await body.dump();
        if (statusCode === 200) answered++;
        else failures.push(statusCode);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const running = [check(), ...Array.from({ length: 40 }, (_, turn) => client(turn))];
  try {
    for (const index of [0, 1, 0, 1]) {
      const before = answered;
      await gateways[index]?.stop();
      gateways[index] = await start();
      await eventually(() => targets.length === 2 && answered > before + 200);
    }
  } finally {
    done = true;
    await Promise.all(running);
    await Promise.all(gateways.map((gateway) => gateway.stop()));
  }
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(1_000);
});
