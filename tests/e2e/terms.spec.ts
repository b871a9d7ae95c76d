/**
 * On which terms a change can be asked for: as a trial, which must change nothing; of one version, which must be the
 * present one; once, however often it is sent. Every changing operation of the contracts is asked for on each of them,
 * and the databases of all services are compared before and after.
 */
import { allOperations, isChange, type Operation, operations, takesDryRun } from '@alto/contracts';
import { eventually, startServices, type TestServices } from '@alto/testing';
import pg from 'pg';
import { rowsOf } from './terms/rows';
import { exchange, type HttpAnswer, type Input, requestOf } from './walls/exchange';
import { archive, ProjectMaker, type TestedProject } from './walls/project';

const services = ['gateway', 'compute', 'storage', 'load-balancer', 'notifications', 'search'] as const;

let alto: TestServices;
let project: TestedProject;
let operatorKeyId: string;
/** What is uploaded. */
let content: Buffer;

type Rows = Record<string, string[]>;
type Change = readonly [operation: Operation, input: (project: TestedProject) => Input];

const { gateway, compute, storage, loadBalancer, notifications, search } = operations;
const known = ({ known: all }: TestedProject, ...fields: string[]): Input =>
  Object.fromEntries(['project', ...fields].map((field) => [field, all[field]]));

/** Each changes something where it stands; what deletes comes last. */
const changes: readonly Change[] = [
  [gateway.projects.create, () => ({ name: 'made-once' })],
  [gateway.keys.create, (all) => ({ ...known(all), name: 'made once', role: 'viewer' })],
  [gateway.keys.createNats, (all) => ({ ...known(all), name: 'made once' })],
  [gateway.keys.rotate, (all) => known(all, 'key')],
  [gateway.keys.revoke, (all) => known(all, 'key')],
  [gateway.quotas.put, (all) => ({ ...known(all), limits: { apps: 50 } })],
  [gateway.operatorKeys.create, () => ({ name: 'made once' })],
  [gateway.operatorKeys.rotate, () => ({ key: operatorKeyId })],
  [gateway.operatorKeys.revoke, () => ({ key: operatorKeyId })],
  [storage.bundles.upload, (all) => known(all)],
  [notifications.messages.publish, (all) => ({ ...known(all, 'topic'), body: 'said once' })],
  [search.documents.put, (all) => ({ ...known(all, 'index', 'document'), fields: { text: 'changed' } })],
  [search.documents.delete, (all) => known(all, 'index', 'document')],
  [loadBalancer.routes.put, (all) => ({ ...known(all, 'route', 'app'), host: 'changed.test' })],
  [loadBalancer.routes.delete, (all) => known(all, 'route')],
  [compute.secrets.put, (all) => ({ ...known(all, 'secret'), value: 'changed' })],
  [compute.apps.put, (all) => ({ ...known(all, 'app'), command: ['run', 'changed'] })],
  [compute.apps.scale, (all) => ({ ...known(all, 'app'), replicas: 4 })],
  [compute.apps.restart, (all) => known(all, 'app')],
  [compute.apps.rollback, (all) => known(all, 'app')],
  [compute.apps.delete, (all) => known(all, 'app')],
  [compute.secrets.delete, (all) => ({ ...known(all), secret: 'UNUSED' })],
  [compute.nodes.cordon, () => ({ node: 'bare' })],
  [compute.nodes.drain, () => ({ node: 'bare' })],
  [compute.nodes.uncordon, () => ({ node: 'bare' })],
  [compute.nodes.delete, () => ({ node: 'bare' })],
];

beforeAll(async () => {
  content = await archive('uploaded once');
  alto = await startServices({ services });
  project = await new ProjectMaker(alto.apiUrl, alto.operatorKey).makeFull('once');
  await alto.client.secrets.put({ project: project.name, secret: 'UNUSED', value: 'never read' });
  operatorKeyId = (await alto.client.operatorKeys.create({ name: 'to be changed' })).id;
  await addBareNode();
  // What waits for a machine says that of this one from the reconciler's next look on, and then no more.
  await eventually(
    async () => {
      const instances = (await rowsOf(alto.processes))['compute.instance'] ?? [];
      expect(instances).toHaveLength(2);
      for (const instance of instances) expect(instance).toContain('bare is lost');
    },
    { withinMs: 60_000, everyMs: 100 },
  );
}, 300_000);

afterAll(async () => {
  await alto?.stop();
});

/** A machine without an agent, which takes nothing by its labels: nothing happens on it but what is asked for. */
async function addBareNode(): Promise<void> {
  const database = new pg.Client({ connectionString: alto.processOf('compute').databaseUrl });
  await database.connect();
  await database.query(
    `INSERT INTO node (id, name, agent_version, cpu_millis, memory_bytes, state, intake, labels, incarnation, sequence,
       heartbeats, generation, fencing, version, last_seen_at, created_at)
     VALUES ('node-bare', 'bare', '0', 1000, 1073741824, 'lost', 'open', '{}', 1, 1, 1, 1, 1, 1, now(), now())`,
  );
  await database.end();
}

/** For so long, and in as many looks, all must be the same: a service that stalls is not one that is done. */
const alike = { forMs: 3_000, looks: 4 };

/** What the change before has left behind. */
let left: Rows | undefined;

/** What there is, once nothing moves any more. @param known had settled, and needs no more time if it is what there is */
function settledRows(known?: Rows): Promise<Rows> {
  const knownText = JSON.stringify(known);
  let last = '';
  let since = 0;
  let looks = 0;
  return eventually(
    async () => {
      const rows = await rowsOf(alto.processes);
      const text = JSON.stringify(rows);
      if (text === knownText) return rows;
      if (text !== last) [last, since, looks] = [text, performance.now(), 0];
      looks++;
      return looks >= alike.looks && performance.now() - since >= alike.forMs && rows;
    },
    { withinMs: 60_000, everyMs: 100 },
  );
}

function ask(
  operation: Operation,
  input: Input,
  {
    query = '',
    headers = {},
    body = content,
  }: { query?: string; headers?: Record<string, string>; body?: Buffer } = {},
): Promise<HttpAnswer> {
  const request = requestOf(operation, input, alto.operatorKey, body);
  const target = query === '' ? request.target : `${request.target}${request.target.includes('?') ? '&' : '?'}${query}`;
  return exchange(alto.apiUrl, { ...request, target, headers: { ...request.headers, ...headers } });
}

it('knows a change for every operation that makes one', () => {
  const listed = changes.map(([operation]) => operation.name).sort();
  const changing = allOperations.filter(isChange);
  expect(changing.map(({ name }) => name).sort()).toEqual(listed);
});

it.each(changes.map(([operation, input]) => [operation.name, operation, input] as const))(
  'keeps the terms of %s',
  async (_name, operation, inputOf) => {
    const input = inputOf(project);
    const before = await settledRows(left);
    const trial = await ask(operation, input, { query: 'dryRun=true' });
    expect([trial.status, trial.text]).toEqual([takesDryRun(operation) ? 200 : 400, expect.any(String)]);
    expect(await rowsOf(alto.processes)).toEqual(before);

    const condition = { 'if-match': '"999999999"' };
    const conditional = await ask(operation, input, { headers: condition });
    expect([conditional.status, conditional.text]).toEqual([
      operation.precondition === undefined ? 400 : 412,
      expect.any(String),
    ]);
    expect(await rowsOf(alto.processes)).toEqual(before);

    const name = { headers: { 'idempotency-key': `once ${operation.name}`.replaceAll(/[^a-z.]/gi, '-') } };
    const first = await ask(operation, input, name);
    expect([first.status, first.text]).toEqual([operation.http?.status ?? 200, expect.any(String)]);
    const after = await settledRows();
    expect(after).not.toEqual(before);
    left = after;
    if (operation.http?.method !== 'POST') return;
    const again = await ask(operation, input, name);
    expect(again).toMatchObject({ status: first.status, text: first.text });
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(await settledRows()).toEqual(after);
    if (operation.http.kind !== 'upload') return;
    const other = await ask(operation, input, { ...name, body: await archive('something else') });
    expect([other.status, other.text]).toEqual([422, expect.stringContaining('idempotency_key_reused')]);
    expect(await settledRows()).toEqual(after);
  },
  300_000,
);
