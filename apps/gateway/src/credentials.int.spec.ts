import { natsPermissions, type Operation, operation } from '@alto/contracts';
import {
  createDatabase,
  eventually,
  type NatsServer,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { z } from 'zod';
import { gatewayService } from './gateway.module';
import { type FirstOperator, makeFirstOperator } from './identity/first-operator.fake';
import { FakeService } from './routing/service.fake';

/** The gateway with the NATS permissions that it has in production. */
const ping = (service: Operation['service']): Operation =>
  operation({
    service,
    noun: 'pings',
    verb: 'get',
    version: 1,
    summary: 'Answer',
    http: { method: 'GET', path: '/v1/ping' },
    permission: 'authenticated',
    callers: ['gateway'],
    input: z.strictObject({}),
    output: z.object({ from: z.string() }),
    errors: [],
    idempotent: true,
  });

let nats: NatsServer;
let database: TestDatabase;
let operator: FirstOperator;
let gateway: TestService;
const fakes: FakeService[] = [];

async function fake(service: Operation['service'], credsFile: string): Promise<void> {
  const { callerPublicKeys } = operator;
  const operations = [ping(service)];
  const answer = () => ({ from: service });
  const options = { natsUrl: nats.url, service, operations, callerPublicKeys, credsFile, answer };
  const one = new FakeService(options);
  fakes.push(one);
  await one.start();
}

const get = (path: string) => fetch(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${operator.key}` } });

beforeAll(async () => {
  nats = await startNats({ secured: true });
  operator = makeFirstOperator();
  const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
  database = await createDatabase({ name: 'gateway', entities, migrations });
  gateway = await startTestService(gatewayService, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: {
      ...operator.settings,
      ALTO_NATS_CREDS_FILE: await nats.credsFile('gateway', natsPermissions('gateway')),
    },
  });
  await eventually(async () => expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200));
});

afterAll(async () => {
  for (const one of fakes) await one.stop();
  await gateway?.stop();
  await database?.drop();
  await nats?.stop();
  operator?.remove();
});

it('believes a service for its own namespace, and routes what its contracts never named', async () => {
  // Signed by search, it speaks for search alone.
  await fake('compute', await nats.credsFile('search', natsPermissions('compute'), 'impostor'));
  await fake('search', await nats.credsFile('search', natsPermissions('search')));
  await eventually(async () => expect(await (await get('/v1/ping')).json()).toEqual({ from: 'search' }));
});

it('reads its events', async () => {
  const response = await eventually(async () => {
    const stream = await get('/v1/events');
    expect(stream.status).toBe(200);
    return stream;
  });
  const created = await fetch(`${gateway.url}/v1/projects`, {
    method: 'POST',
    headers: { authorization: `Bearer ${operator.key}`, 'content-type': 'application/json' },
    body: '{"name":"seen"}',
  });
  expect(created.status).toBe(201);
  let text = '';
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += new TextDecoder().decode(bytes);
    if (text.includes('"name":"seen"')) break;
  }
});
