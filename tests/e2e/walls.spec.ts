/**
 * No database, log, state or store holds a secret in the clear: those that came in through the front door, those that the
 * API has given out, and the keys that Alto has made for itself.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { operations, type Operation } from '@alto/contracts';
import { type Alto, eventually, startAlto } from '@alto/testing';
import { databasesOf, formsOf, foundInDatabases, foundInFiles } from './walls/everything-kept';
import { exchange, type Input, requestOf } from './walls/exchange';

const project = 'default';
const fresh = (label: string) => `${label}${randomBytes(16).toString('hex')}`;
const [firstValue, secondValue, clearValue] = [fresh('first'), fresh('second'), fresh('clear')];
/** It says how long the secret is that it was given, and answers that it is ready. */
const program = `require('http').createServer((_, answer) => answer.end(String(process.env.PLANTED.length)))
  .listen(process.env.PORT, process.env.HOST)`;

/** What Alto has to have in the clear lies in the one; programs hold nothing of its. */
const left = ['keys', 'runtime', 'releases'];

let alto: Alto;

/** As a client that may send the same twice: what is answered is kept for that. */
async function call(operation: Operation, input: Input): Promise<Record<string, unknown>> {
  const request = requestOf(operation, { project, ...input }, alto.adminKey);
  const headers = { ...request.headers, 'idempotency-key': crypto.randomUUID() };
  const post = request.method === 'POST' ? { ...request, headers } : request;
  const { status, text } = await exchange(alto.apiUrl, post);
  if (status >= 300) throw new Error(`${operation.name} answered ${status}: ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** The secrets in the files of the folder of keys: seeds, keys and what is in credentials. */
function ownSecrets(): string[] {
  const folder = join(alto.dataDirectory, 'keys');
  return [
    'master.key',
    'caller.key',
    'admin.key',
    ...readdirSync(join(folder, 'nats')).map((name) => join('nats', name)),
  ]
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .flatMap((text) => text.match(/^(?:S[A-Z2-7]{57}|[A-Za-z0-9+/]{43,64}=?=?|alto_\w+)$/gm) ?? []);
}

beforeAll(async () => {
  alto = await startAlto();
}, 300_000);

afterAll(async () => {
  await alto?.stop();
}, 300_000);

it('finds nothing that was to be kept secret, and finds what was not', async () => {
  const { compute, gateway } = operations;
  await call(compute.secrets.put, { secret: 'PLANTED', value: firstValue });
  await call(compute.secrets.put, { secret: 'PLANTED', value: secondValue });
  const command = ['node', '-e', program];
  await call(compute.apps.put, { app: 'keeper', command, secrets: ['PLANTED'], env: { CLEAR: clearValue } });
  await eventually(
    async () => {
      const { status } = (await call(compute.apps.get, { app: 'keeper' })) as { status: { ready: number } };
      expect(status.ready).toBe(1);
    },
    { withinMs: 60_000, everyMs: 200 },
  );
  const key = await call(gateway.keys.create, { name: 'made', role: 'viewer' });
  const rotated = await call(gateway.keys.rotate, { key: key['id'] });
  const subscriber = await call(gateway.keys.createNats, { name: 'subscribed' });
  const given = [
    ...[key, rotated].map((made) => String(made['key']).split('_')[2] ?? ''),
    /^SU[A-Z2-7]{56}$/m.exec(String(subscriber['credentials']))?.[0] ?? '',
  ];
  const own = ownSecrets();
  expect(own.length).toBeGreaterThan(10);
  const secrets = [firstValue, secondValue, ...given, ...own];
  expect(secrets.every((secret) => secret.length >= 32)).toBe(true);

  const needles = secrets.flatMap(formsOf);
  const databases = await databasesOf(alto);
  expect(databases.length).toBeGreaterThan(5);
  expect(await foundInDatabases(databases, needles)).toEqual([]);
  expect(foundInFiles(alto.dataDirectory, left, needles)).toEqual([]);
  // The same search finds what an app was given in the clear, so it would have found the others.
  const clear = formsOf(clearValue);
  expect(await foundInDatabases(databases, clear)).toEqual(expect.arrayContaining(['database compute: public.app']));
  expect(foundInFiles(alto.dataDirectory, left, clear)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^file postgres\//)]),
  );
}, 300_000);
