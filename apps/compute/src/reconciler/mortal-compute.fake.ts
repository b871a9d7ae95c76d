/**
 * Compute as a process of its own, for tests that kill or freeze it. It can die wherever it persists or sends what it
 * decides: before and after each commit, and before each message that it sends. Within a transaction it need not die:
 * nothing of it is there before the commit. Reports that only say that somebody is still there do not count.
 */
import { computeOperations } from '@alto/contracts';
import { Leases, loadConfig, NatsBus, type ServiceDefinition, startService } from '@alto/platform';
import { KillPoints } from '@alto/testing';
import pg from 'pg';
import { ComputeModule } from '../compute.module';
import { computeConfig } from '../config';
import { computeDatabase } from '../database';

export interface MortalComputeInput {
  /** Settings by the names of their environment variables. */
  readonly settings: Readonly<Record<string, string>>;
}

/** What a test may ask of it; it answers with what it has said. */
export type Order =
  | { readonly order: 'start' }
  | { readonly order: 'record' }
  | { readonly order: 'report' }
  | { readonly order: 'arm'; readonly what: string; readonly time: number; readonly app: string }
  | { readonly order: 'disarm'; readonly app: string };

const { settings } = JSON.parse(process.argv[2]!) as MortalComputeInput;
const points = new KillPoints();
const decision =
  /^\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(app|revision|rollout|instance|endpoint_\w+|alto_outbox)\b/i;
const sent = /^(?:_INBOX_gateway|alto\.nudge\.\w+|alto\.events)(?=\.)/;

/** Every statement of the process passes here. */
function watchStatements(): void {
  const undecided = new WeakMap<object, string>();
  const run = pg.Client.prototype.query as (this: pg.Client, ...all: unknown[]) => unknown;
  const watched = function (this: pg.Client, ...all: unknown[]): unknown {
    const sql = typeof all[0] === 'string' ? all[0] : ((all[0] as { text?: string } | undefined)?.text ?? '');
    // A statement of its own, as those that tidy up the outbox, is no part of the transaction that comes next.
    if (sql === 'START TRANSACTION') undecided.delete(this);
    const table = decision.exec(sql)?.[1];
    if (table !== undefined) undecided.set(this, `${undecided.get(this) ?? ''} ${table}`);
    const decided = undecided.get(this);
    if (decided === undefined || (sql !== 'COMMIT' && sql !== 'ROLLBACK')) return Reflect.apply(run, this, all);
    undecided.delete(this);
    if (sql === 'COMMIT') points.pass(`before COMMIT of${decided}`);
    return (Reflect.apply(run, this, all) as Promise<unknown>).then((result) => {
      if (sql === 'COMMIT') points.pass(`after COMMIT of${decided}`);
      return result;
    });
  };
  pg.Client.prototype.query = watched as typeof pg.Client.prototype.query;
}

/** Every message that leaves the process passes here, answers too. */
function watchMessages(bus: NatsBus): void {
  bus.onConnection((connection) => {
    const { protocol } = connection as unknown as { protocol: { publish(subject: string, ...rest: unknown[]): void } };
    const publish = protocol.publish.bind(protocol);
    protocol.publish = (subject, ...rest) => {
      const kind = sent.exec(subject)?.[0];
      if (kind !== undefined) points.pass(`before sending ${kind}`);
      publish(subject, ...rest);
    };
  });
}

async function serve(): Promise<void> {
  const definition: ServiceDefinition = {
    name: computeOperations.apps.put.service,
    module: ComputeModule,
    config: computeConfig,
    database: computeDatabase,
  };
  const service = await startService(definition, loadConfig(computeConfig, settings));
  watchMessages(service.app.get(NatsBus));
  while ((await fetch(`${service.url}/readyz`)).status !== 200) await new Promise((done) => setTimeout(done, 20));
  process.send!({ said: 'ready' });
  const leases = service.app.get(Leases);
  let holds = false;
  setInterval(() => {
    const now = leases.holdingsByName().get('compute.reconciler') === true;
    if (now !== holds) process.send!({ said: now ? 'holds the lease' : 'has lost the lease' });
    holds = now;
  }, 20);
}

function obey(order: Order): void {
  switch (order.order) {
    case 'start':
      return void serve();
    case 'record':
      return points.record();
    case 'report':
      return void process.send!({ said: 'passed', points: points.recorded });
    case 'arm':
      points.arm(order.what, order.time);
      return void process.send!({ said: 'armed', app: order.app });
    case 'disarm':
      points.disarm();
      return void process.send!({ said: 'disarmed', app: order.app });
  }
}

watchStatements();
process.on('message', obey);
process.send!({ said: 'loaded' });
