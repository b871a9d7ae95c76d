/** Uploads that are done once: their content is compared, and never held. */
import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { AltoError, callHeaders, operation, toProblem } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { z } from 'zod';
import { Gateways } from '../gateways.fake';

interface Received {
  readonly onceKey: string | undefined;
  readonly dryRun: string | undefined;
  readonly sha256: string;
}

const upload = operation({
  service: 'storage',
  noun: 'files',
  verb: 'upload',
  version: 1,
  summary: 'Upload a file',
  http: { method: 'POST', path: '/v1/projects/{project}/files/{file}', status: 201, kind: 'upload' },
  permission: 'bundles.write',
  callers: ['gateway'],
  input: z.strictObject({ project: z.string(), file: z.string() }),
  output: z.object({ version: z.number().int() }),
  errors: ['unprocessable'],
  idempotent: false,
});

let gateways: Gateways;
const received: Received[] = [];
/** Name → the number of the file that was made under it: as services do, this one makes none twice. */
const made = new Map<string, number>();
/** What the service does with an upload once it has come; makes a file unless given. */
let answering: ((sha256: string) => Promise<void>) | undefined;

beforeAll(async () => {
  gateways = await Gateways.start(2, { ALTO_IDEMPOTENCY_WAIT_MS: '60000' });
  await gateways.serve({
    service: 'storage',
    operations: [upload],
    http: (request, response) => {
      const hash = createHash('sha256');
      request.on('data', (chunk: Buffer) => hash.update(chunk));
      request.on('end', async () => {
        const sha256 = hash.digest('hex');
        const { headers } = request;
        const [onceKey, dryRun] = [callHeaders.onceKey, callHeaders.dryRun].map((name) => headers[name.toLowerCase()]);
        received.push({ sha256, onceKey: onceKey as string, dryRun: dryRun as string });
        const name = String(onceKey ?? received.length);
        try {
          await answering?.(sha256);
          if (!made.has(name)) made.set(name, made.size);
          const body = { version: 1, sha256, number: made.get(name) };
          response.writeHead(201, { 'content-type': 'application/json', etag: '"1"' }).end(JSON.stringify(body));
        } catch (error) {
          const problem = toProblem(error as AltoError);
          response.writeHead(problem.status, { 'content-type': 'application/problem+json' });
          response.end(JSON.stringify(problem));
        }
      });
    },
  });
  await eventually(async () => expect((await send('a probe', { key: undefined })).status).toBe(201));
});
beforeEach(() => {
  received.splice(0);
  answering = undefined;
});

afterAll(() => gateways?.stop());

interface Sending {
  key: string | undefined;
  file?: string;
  gateway?: number;
  query?: string;
}

async function send(content: string | Buffer, { key, file = 'a', gateway = 0, query = '' }: Sending) {
  const response = await fetch(`${gateways.all[gateway]?.url}/v1/projects/default/files/${file}${query}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${gateways.operator.key}`,
      'content-type': 'application/gzip',
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    body: new Uint8Array(Buffer.from(content)),
  });
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  return { status: response.status, headers: response.headers, body: (await response.json()) as any };
}

it('gives the same content the first answer, at any gateway, without passing it on again', async () => {
  const content = randomBytes(5_000_000);
  const first = await send(content, { key: 'u-same' });
  expect(first).toMatchObject({ status: 201, body: { version: 1 } });
  expect(first.headers.get('idempotency-replayed')).toBeNull();
  for (const gateway of [0, 1]) {
    const again = await send(content, { key: 'u-same', gateway });
    expect(again).toMatchObject({ status: 201, body: first.body });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.headers.get('etag')).toBe('"1"');
  }
  expect(received).toHaveLength(1);
  expect(received[0]?.onceKey).toMatch(/^[0-9a-f]{64}$/);
});

it('refuses other content under the same key, and the same content to another address, without passing either on', async () => {
  await send('one', { key: 'u-other' });
  for (const other of [
    await send('two', { key: 'u-other' }),
    await send('', { key: 'u-other', gateway: 1 }),
    await send('one', { key: 'u-other', file: 'b' }),
  ]) {
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused', field: 'Idempotency-Key' } });
  }
  expect(received).toHaveLength(1);
  expect((await send('one', { key: 'u-other' })).status).toBe(201);
});

it('passes on once what many send at once, however long it takes', async () => {
  const names = new Set<string>();
  const outcomes: string[] = [];
  // Passed on again, under the same name, where this machine stood still for so long that nothing was heard of the first.
  const passedOnOnce = async (key: string) => {
    received.splice(0);
    const { promise: held, resolve: finish } = Promise.withResolvers<void>();
    answering = () => held;
    const sending = Array.from({ length: 6 }, (_, index) => send('at once', { key, gateway: index % 2 }));
    await eventually(() => received.length > 0);
    // Longer than others wait for one of which nothing is heard.
    await new Promise((resolve) => setTimeout(resolve, 2_600));
    finish();
    const answers = await Promise.all(sending);
    outcomes.push([...new Set(answers.map(({ status, body }) => `${key} ${status} ${body.number}`))].join());
    for (const { onceKey } of received) names.add(`${key} ${onceKey}`);
    return received.length === 1;
  };
  let attempts = 0;
  await eventually(() => passedOnOnce(`u-at-once-${++attempts}`));
  expect(outcomes).toEqual(outcomes.map((_, index) => expect.stringMatching(`^u-at-once-${index + 1} 201 \\d+$`)));
  expect(names.size).toBe(attempts);
});

it('hands it to the service again, under the same name, where the first answer was never kept', async () => {
  await gateways.query(`CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.answer IS NOT NULL THEN RAISE EXCEPTION 'as if the gateway were gone'; END IF; RETURN NEW; END $$`);
  await gateways.query('CREATE TRIGGER lose BEFORE UPDATE ON idempotent_requests FOR EACH ROW EXECUTE FUNCTION lose()');
  expect((await send('lost', { key: 'u-lost' })).status).toBe(201);
  await gateways.query('DROP TRIGGER lose ON idempotent_requests');
  const refusal = new AltoError('idempotency_key_reused', 'The service has seen other content.');
  answering = () => Promise.reject(refusal);
  expect(await send('not lost', { key: 'u-lost', gateway: 1 })).toMatchObject({
    status: 422,
    body: { code: 'idempotency_key_reused' },
  });
  answering = undefined;
  expect((await send('lost', { key: 'u-lost', gateway: 1 })).status).toBe(201);
  expect(new Set(received.map(({ onceKey }) => onceKey)).size).toBe(1);
  expect(received).toHaveLength(3);
  expect((await send('lost', { key: 'u-lost' })).headers.get('idempotency-replayed')).toBe('true');
});

it('repeats a refusal of the content, and keeps nothing of what may turn out otherwise', async () => {
  answering = () => Promise.reject(new AltoError('unprocessable', 'This is no archive.'));
  const refused = await send('no archive', { key: 'u-refused' });
  const again = await send('no archive', { key: 'u-refused' });
  expect(refused).toMatchObject({ status: 422, body: { code: 'unprocessable' } });
  expect(again).toMatchObject({ status: 422, body: refused.body });
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(received).toHaveLength(1);
  answering = () => Promise.reject(new AltoError('insufficient_storage', 'There is no room.'));
  expect((await send('larger', { key: 'u-passing' })).status).toBe(507);
  answering = undefined;
  expect((await send('smaller', { key: 'u-passing' })).status).toBe(201);
});

it('keeps nothing of an upload that broke off', async () => {
  const sending = httpRequest(`${gateways.all[0]?.url}/v1/projects/default/files/a`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateways.operator.key}`, 'idempotency-key': 'u-broken', 'content-length': 100 },
  });
  sending.on('error', () => undefined).write('half');
  await eventually(async () => {
    const rows = await gateways.query(
      "SELECT 1 FROM idempotent_requests WHERE answer IS NULL AND busy_until > 'epoch'",
    );
    expect(rows).toHaveLength(1);
  });
  sending.destroy();
  expect((await send('another half', { key: 'u-broken' })).status).toBe(201);
});

it('takes no key that is none', async () => {
  for (const key of ['x'.repeat(256), 'a b']) {
    expect(await send('content', { key })).toMatchObject({ status: 400, body: { field: 'Idempotency-Key' } });
  }
  expect(received).toEqual([]);
});

it('passes a trial on as one, under no name', async () => {
  const trial = await send('perhaps', { key: 'u-trial', query: '?dryRun=true' });
  expect(trial.status).toBe(200);
  expect(received).toMatchObject([{ dryRun: 'true', onceKey: undefined }]);
  expect((await send('something else', { key: 'u-trial' })).status).toBe(201);
});
