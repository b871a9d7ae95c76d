/**
 * What comes in through the front door is kept by the services: no column of their databases, log, file of state or event
 * holds a secret in the clear.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { operations, type Operation } from '@alto/contracts';
import { eventually, type TestServices } from '@alto/testing';
import { formsOf, foundInDatabases, foundInFiles } from './walls/everything-kept';
import { exchange, type Input, requestOf } from './walls/exchange';
import { startAllServices } from './walls/services';

const fresh = (label: string) => `${label}${randomBytes(16).toString('hex')}`;
const [firstValue, secondValue, clearValue] = [fresh('first'), fresh('second'), fresh('clear')];

let alto: TestServices;

/** As a client that may send the same twice: what is answered is kept for that. */
async function call(operation: Operation, input: Input): Promise<Record<string, unknown>> {
  const request = requestOf(operation, { project: 'default', ...input }, alto.operatorKey);
  const once: Record<string, string> = request.method === 'POST' ? { 'idempotency-key': crypto.randomUUID() } : {};
  const sent = { ...request, headers: { ...request.headers, ...once } };
  const { status, text } = await exchange(alto.apiUrl, sent);
  if (status >= 300) throw new Error(`${operation.name} answered ${status}: ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

beforeAll(async () => {
  alto = await startAllServices();
}, 300_000);

afterAll(async () => {
  await alto?.stop();
});

it('are found nowhere, and by the same search what was given in the clear is', async () => {
  const { compute, gateway } = operations;
  await call(compute.secrets.put, { secret: 'PLANTED', value: firstValue });
  await call(compute.secrets.put, { secret: 'PLANTED', value: secondValue });
  const app = { app: 'keeper', command: ['serve'], secrets: ['PLANTED'], env: { CLEAR: clearValue } };
  await call(compute.apps.put, app);
  const key = await call(gateway.keys.create, { name: 'made', role: 'viewer' });
  const rotated = await call(gateway.keys.rotate, { key: key['id'] });
  const subscriber = await call(gateway.keys.createNats, { name: 'subscribed' });
  const master = readFileSync(join(alto.folder, 'master.key'), 'utf8').trim();
  const secrets = [firstValue, secondValue, master, alto.operatorKey.split('_')[2] ?? ''];
  secrets.push(...[key, rotated].map((made) => String(made['key']).split('_')[2] ?? ''));
  secrets.push(/^SU[A-Z2-7]{56}$/m.exec(String(subscriber['credentials']))?.[0] ?? '');
  expect(secrets.filter((secret) => secret.length < 32)).toEqual([]);

  const databases = alto.processes.map(({ databaseUrl }) => ({ connectionString: databaseUrl }));
  const needles = secrets.flatMap(formsOf);
  const search = async (texts: readonly string[]) => [
    ...(await foundInDatabases(databases, texts)),
    ...foundInFiles(alto.folder, ['master.key', 'caller.key'], texts),
    ...foundInFiles(alto.nats.storeFolder, [], texts),
  ];
  // Once events have reached the stream, too, it is all that there will be.
  await eventually(
    async () => {
      const clear = await search(formsOf(clearValue));
      expect(clear).toContainEqual(expect.stringMatching(/^database compute_\w+: public\.app$/));
      expect(clear).toContainEqual(expect.stringMatching(/^file .*ALTO_EVENTS/));
    },
    { withinMs: 60_000, everyMs: 200 },
  );
  expect(await search(needles)).toEqual([]);
}, 300_000);
