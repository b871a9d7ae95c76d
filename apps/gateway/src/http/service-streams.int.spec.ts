import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest, type RequestListener, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Operation, operation } from '@alto/contracts';
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
import { gatewayService } from '../gateway.module';
import { type FirstOperator, makeFirstOperator } from '../identity/first-operator.fake';
import { FakeService } from '../routing/service.fake';

const stream = (verb: string, http: Operation['http'], input: Operation['input']): Operation =>
  operation({
    service: 'storage',
    noun: 'files',
    verb,
    version: 1,
    summary: `${verb} a file`,
    http,
    permission: 'bundles.write',
    callers: ['gateway'],
    input,
    output: z.object({}),
    errors: [],
    idempotent: false,
  });

const fields = { project: z.string(), file: z.string() };
const path = '/v1/projects/{project}/files/{file}';
const operations = [
  stream(
    'upload',
    { method: 'POST', path, status: 201, kind: 'upload', query: ['mode'] },
    z.strictObject({ ...fields, mode: z.string().optional() }),
  ),
  stream('download', { method: 'GET', path, kind: 'download' }, z.strictObject(fields)),
];

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Of all buffers in this process that somebody still has; what was only not yet given back does not count. */
function heldBytes(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

const MiB = 1024 * 1024;
const chunk = randomBytes(MiB);
const bytesMax = 300 * MiB;

let nats: NatsServer;
let database: TestDatabase;
let operator: FirstOperator;
let gateway: TestService;
const fakes: FakeService[] = [];

async function serve(http: RequestListener): Promise<FakeService> {
  const { callerPublicKeys } = operator;
  const service = new FakeService({ natsUrl: nats.url, callerPublicKeys, service: 'storage', operations, http });
  fakes.push(service);
  return service.start();
}

const file = (name: string) => `${gateway.url}/v1/projects/default/files/${name}`;
const headers = () => ({ authorization: `Bearer ${operator.key}` });

/** Until the gateway streams to the service, which it does as soon as it has heard of it. */
const reachable = () =>
  eventually(async () => {
    const answer = await fetch(file('probe'), { headers: headers() });
    await answer.body?.cancel();
    expect(answer.status).toBe(200);
  });

const answered = (response: ServerResponse, status: number, body: unknown) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

beforeAll(async () => {
  nats = await startNats();
  operator = makeFirstOperator();
  const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
  database = await createDatabase({ name: 'gateway', entities, migrations });
  gateway = await startTestService(gatewayService, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: { ...operator.settings, ALTO_UPLOAD_BYTES_MAX: String(bytesMax), ALTO_STREAM_IDLE_MS: '5000' },
  });
  await eventually(async () => expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200));
});

afterEach(async () => {
  for (const service of fakes.splice(0)) await service.stop();
});

afterAll(async () => {
  await gateway?.stop();
  await database?.drop();
  await nats?.stop();
  operator?.remove();
});

it('streams 200 MiB up and down without holding them', async () => {
  let up: { hash: string; headers: IncomingMessage['headers']; url: string } | undefined;
  await serve((request, response) => {
    if (request.method === 'GET') {
      const content = request.url?.endsWith('/probe') ? ['x'] : Array<Buffer>(200).fill(chunk);
      Readable.from(content).pipe(response.writeHead(200, { etag: '"1"', 'x-inner': 'secret' }));
      return;
    }
    const hash = createHash('sha256');
    request.on('data', (bytes: Buffer) => hash.update(bytes));
    request.on('end', () => {
      up = { hash: hash.digest('hex'), headers: request.headers, url: request.url ?? '' };
      answered(response, 201, { ok: true });
    });
  });
  await reachable();
  const expected = createHash('sha256');
  for (let count = 0; count < 200; count++) expected.update(chunk);
  const digest = expected.digest('hex');
  const before = heldBytes();
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, heldBytes() - before)), 500);

  const body = Readable.toWeb(Readable.from(Array<Buffer>(200).fill(chunk)));
  const sent = await fetch(`${file('a%2Fb')}?mode=fast`, {
    method: 'POST',
    headers: { ...headers(), 'content-type': 'application/gzip', 'alto-caller': 'forged', cookie: 'a=b' },
    body,
    duplex: 'half',
  } as RequestInit);
  expect([sent.status, await sent.json()]).toEqual([201, { ok: true }]);
  expect(up?.hash).toBe(digest);
  expect(up?.url).toMatch(/^\/v1\/projects\/prj_[0-9a-z]{26}\/files\/a%2Fb\?mode=fast$/);
  expect(up?.headers).toMatchObject({
    'content-type': 'application/gzip',
    'alto-caller': expect.stringMatching(/^ey/),
  });
  expect(up?.headers).not.toHaveProperty('cookie');
  expect(up?.headers).not.toHaveProperty('authorization');

  // Again where the service, which is in this process as well, was too busy to answer in the time of this test.
  const received = await eventually(async () => {
    const answer = await fetch(file('big'), { headers: headers() });
    expect(answer.status).toBe(200);
    return answer;
  });
  const hash = createHash('sha256');
  for await (const bytes of received.body as unknown as AsyncIterable<Uint8Array>) hash.update(bytes);
  clearInterval(watch);
  expect(hash.digest('hex')).toBe(digest);
  expect([received.headers.get('etag'), received.headers.get('x-inner')]).toEqual(['"1"', null]);
  // Client, gateway and service are all in this process.
  expect(peak).toBeLessThan(100 * MiB);
});

it('lets the slower side set the pace', async () => {
  let readAfterPause = 0;
  await serve((request, response) => {
    if (request.method === 'GET') return void response.end('x');
    request.pause();
    setTimeout(() => {
      readAfterPause = request.socket.bytesRead;
      request.resume().on('end', () => answered(response, 201, {}));
    }, 700);
  });
  await reachable();
  let offered = 0;
  const body = Readable.toWeb(
    Readable.from(
      (function* () {
        for (let count = 0; count < 100; count++) {
          offered += chunk.length;
          yield chunk;
        }
      })(),
    ),
  );
  const sending = fetch(file('slow'), { method: 'POST', headers: headers(), body, duplex: 'half' } as RequestInit);
  await eventually(() => readAfterPause > 0);
  expect(offered).toBeLessThan(40 * MiB);
  expect((await sending).status).toBe(201);
});

it('cuts the service when the client goes, and the client when the service goes', async () => {
  let cut = false;
  const begun = Promise.withResolvers<void>();
  await serve((request, response) => {
    if (request.url?.endsWith('/probe')) return void response.end('x');
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-length': '1000' }).write('part');
      void begun.promise.then(() => response.destroy());
      return;
    }
    request.on('close', () => (cut = !request.complete)).resume();
  });
  await reachable();
  const upload = httpRequest(file('left'), { method: 'POST', headers: headers() });
  upload.on('error', () => undefined).write(chunk);
  await eventually(() => upload.socket?.writableLength === 0);
  upload.destroy();
  await eventually(() => cut);

  const download = await fetch(file('broken'), { headers: headers() });
  begun.resolve();
  await expect(download.text()).rejects.toThrow();
});

it('refuses a body beyond the limit, announced or not, and one that stands still', async () => {
  await serve((request, response) => {
    if (request.method === 'GET') return void response.end('x');
    request.resume().on('end', () => answered(response, 201, {}));
  });
  await reachable();
  const post = (body: string | undefined, more: Record<string, string>) =>
    new Promise<{ status: number; code: string }>((resolve, reject) => {
      const request = httpRequest(file('large'), { method: 'POST', headers: { ...headers(), ...more } }, (response) => {
        let text = '';
        response.on('data', (bytes) => (text += String(bytes)));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, code: JSON.parse(text).code }));
      });
      request.on('error', reject);
      if (body === undefined) request.write('still');
      else request.end(body);
    });
  expect(await post('x', { 'content-length': String(bytesMax + 1) })).toEqual({ status: 413, code: 'too_large' });
  expect(await post(undefined, {})).toEqual({ status: 408, code: 'request_timeout' });
});

it('passes on an answer that comes before the body has been sent', async () => {
  await serve((request, response) => {
    if (request.method === 'GET') return void response.end('x');
    answered(response, 422, { code: 'unprocessable' });
  });
  await reachable();
  const { status, body } = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const request = httpRequest(file('early'), { method: 'POST', headers: headers() }, (response) => {
      let text = '';
      response.on('data', (bytes) => (text += String(bytes)));
      response.on('end', () => resolve({ status: response.statusCode, body: text }));
    });
    request.on('error', reject);
    request.write('a first part');
  });
  expect([status, body]).toEqual([422, '{"code":"unprocessable"}']);
});

it.each([
  ['a refused upload', () => headers()],
  ['an upload under a name', () => ({ ...headers(), 'idempotency-key': 'lingering' })],
  ['an upload that may not be', () => ({ authorization: 'Bearer nonsense' })],
])('lets the client of %s send on, so that it gets to read why', async (_name, headersOf) => {
  await serve((request, response) => {
    if (request.method === 'GET') return void response.end('x');
    answered(response, 413, { code: 'too_large', status: 413, title: 'a', type: 'b', detail: 'c' });
    request.resume();
  });
  await reachable();
  let failure: unknown;
  const upload = httpRequest(file('refused'), { method: 'POST', headers: headersOf() });
  upload.on('error', (error) => (failure = error)).write(chunk);
  const [answer] = (await once(upload, 'response')) as [IncomingMessage];
  expect([413, 401]).toContain(answer.statusCode);
  for (let count = 0; count < 20 && failure === undefined; count++) {
    upload.write(chunk);
    await eventually(() => failure !== undefined || upload.writableLength === 0);
  }
  expect(failure).toBeUndefined();
  upload.destroy();
});

it('reads what came while it stood still before it ends a refused upload', async () => {
  await serve((_request, response) => void response.end('x'));
  await reachable();
  let failure: unknown;
  const upload = httpRequest(file('refused'), { method: 'POST', headers: { authorization: 'Bearer nonsense' } });
  upload.on('error', (error) => (failure = error)).write(chunk);
  const [answer] = (await once(upload, 'response')) as [IncomingMessage];
  expect(answer.statusCode).toBe(401);
  await eventually(() => upload.writableLength === 0);
  // The client sends on, and the gateway, which is in this process as well, has no turn to read it: timers come next.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve) => upload.write('more', () => resolve()));
  const until = performance.now() + 2_500;
  while (performance.now() < until);
  for (let count = 0; count < 10 && failure === undefined; count++) {
    upload.write('more');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect([failure, upload.socket?.destroyed]).toEqual([undefined, false]);
  upload.destroy();
});

it('takes another instance when one cannot be reached, and says 503 when none can', async () => {
  const listener: RequestListener = (request, response) => {
    if (request.method === 'GET') return void response.end('x');
    request.resume().on('end', () => answered(response, 201, {}));
  };
  const [dead] = [await serve(listener), await serve(listener)];
  await reachable();
  await dead?.vanish();
  const large = Buffer.concat([chunk, chunk, chunk]);
  for (let count = 0; count < 4; count++) {
    const answer = await fetch(file('again'), { method: 'POST', headers: headers(), body: large });
    expect(answer.status).toBe(201);
  }
  for (const service of fakes.splice(0)) await service.stop();
  await eventually(async () => {
    const answer = await fetch(file('none'), { method: 'POST', headers: headers(), body: chunk });
    expect([answer.status, await answer.json()]).toEqual([
      503,
      expect.objectContaining({ details: { service: 'storage' } }),
    ]);
  });
});
