import { event } from '@alto/contracts';
import { createDatabase, eventually, type NatsServer, startNats, type TestDatabase } from '@alto/testing';
import { Module } from '@nestjs/common';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { defineConfig, loadConfig, type RunningService, type ServiceDefinition, startService } from '../service';
import { createLog } from '../service/log';
import { Database } from './database';
import { Leases } from './leases';
import { Outbox } from './outbox';

@Module({})
class EmptyModule {}

const definition: ServiceDefinition = {
  name: 'search',
  module: EmptyModule,
  config: defineConfig({}),
  database: { entities: [], migrations: [] },
};

const indexCreated = event({
  service: 'search',
  noun: 'indexes',
  verb: 'created',
  version: 1,
  summary: 'An index was created',
  data: z.object({ name: z.string() }),
});

let nats: NatsServer;
let test: TestDatabase;
let observer: NatsConnection;
const services: RunningService[] = [];

async function start(): Promise<RunningService> {
  const config = loadConfig(definition.config, {
    ALTO_NATS_URL: nats.url,
    ALTO_DATABASE_URL: test.url,
    ALTO_LAME_DUCK_MS: '0',
  });
  const log = createLog({ level: 'silent', service: 'search', instance: 'a', version: '0' });
  const service = await startService(definition, config, log);
  services.push(service);
  return service;
}

beforeEach(async () => {
  nats = await startNats();
  test = await createDatabase({ name: 'module-spec', migrations: [] });
  observer = await connect({ servers: nats.url });
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()));
  await observer.close();
  await test.drop();
  await nats.stop();
});

async function metricsOf(service: RunningService): Promise<string> {
  return (await fetch(`${service.url}/metrics`)).text();
}

describe('A service with a database', () => {
  it('becomes ready, publishes its events, and measures itself', async () => {
    const service = await start();
    await eventually(async () => expect((await fetch(`${service.url}/readyz`)).status).toBe(200));
    const seen: string[] = [];
    observer.subscribe('alto.events.>', { callback: (_error, message) => void seen.push(message.subject) });
    await observer.flush();
    const outbox = service.app.get(Outbox);
    await service.app.get(Database).transaction((transaction) =>
      outbox.append(transaction, indexCreated, {
        project: null,
        resource: 'books',
        resourceVersion: 1,
        data: { name: 'books' },
      }),
    );
    await eventually(() => expect(seen).toEqual(['alto.events.cluster.search.indexes.created']));
    await eventually(async () => {
      const metrics = await metricsOf(service);
      expect(metrics).toContain('alto_database_ready 1');
      expect(metrics).toContain('alto_outbox_published_events_total 1');
      expect(metrics).toContain('alto_lease_held{lease="outbox-relay"} 1');
    });
  });

  it('publishes the last events before it stops, gives its leases up, and stops at once', async () => {
    const service = await start();
    const database = service.app.get(Database);
    await eventually(() => database.notReady() === undefined);
    const holding = service.app.get(Leases).hold('work', (lease) => {
      return new Promise((resolve) => lease.signal.addEventListener('abort', () => resolve()));
    });
    await eventually(() => holding.held);
    const outbox = service.app.get(Outbox);
    await database.transaction((transaction) =>
      outbox.append(transaction, indexCreated, {
        project: null,
        resource: 'last',
        resourceVersion: 1,
        data: { name: 'last' },
      }),
    );
    const stoppedFrom = performance.now();
    await service.stop();
    // Who waited for a transaction or a lease would wait five seconds or ten.
    expect(performance.now() - stoppedFrom).toBeLessThan(4_500);

    const successor = await start();
    const reader = successor.app.get(Database);
    await eventually(() => reader.notReady() === undefined);
    const { rows } = await reader.query('SELECT 1 FROM alto_outbox WHERE published_sequence IS NULL');
    expect(rows).toEqual([]);
    const free = await reader.query(
      "SELECT name FROM alto_lease_heartbeat WHERE name = 'work' AND expires_at > clock_timestamp()",
    );
    expect(free.rows).toEqual([]);
  });

  it('starts, and says what is missing, without its database', async () => {
    await test.drop();
    const service = await start();
    const response = await fetch(`${service.url}/readyz`);
    expect(response.status).toBe(503);
    expect(await response.text()).toContain('the database of search is not available');
  });
});
