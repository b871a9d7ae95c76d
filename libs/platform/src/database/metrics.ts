/** What the database's parts tell to `/metrics`. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Database } from './database';
import type { Leases } from './leases';
import type { Relay } from './relay';

export function registerDatabaseMetrics(
  registry: Registry,
  database: Database,
  leases: readonly Leases[],
  relay: Relay,
): void {
  const registers = [registry];
  new Gauge({
    name: 'alto_database_ready',
    help: '1 while the database can be used',
    registers,
    collect() {
      this.set(database.notReady() === undefined ? 1 : 0);
    },
  });
  new Gauge({
    name: 'alto_database_connections',
    help: 'Connections of the pool, and callers that wait for one',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(database.connections())) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'alto_lease_held',
    help: '1 for each lease that this instance holds, 0 for those it competes for',
    labelNames: ['lease'],
    registers,
    collect() {
      for (const [lease, held] of leases.flatMap((one) => [...one.holdingsByName()])) this.set({ lease }, held ? 1 : 0);
    },
  });
  registerRelayMetrics(registers, relay);
}

function registerRelayMetrics(registers: Registry[], { statistics }: Relay): void {
  new Gauge({
    name: 'alto_outbox_waiting_events',
    help: 'Events that waited at the last look, up to the size of a batch',
    registers,
    collect() {
      this.set(statistics.waiting);
    },
  });
  const counters = [
    ['alto_outbox_published_events_total', 'Events published by this instance', 'published'],
    ['alto_outbox_lost_events_total', 'Events that NATS lost and that were published again', 'publishedAgain'],
  ] as const;
  for (const [name, help, statistic] of counters) {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(statistics[statistic]);
      },
    });
  }
}
