import { computeOperations, gatewayOperations, storageOperations, toProblem } from '@alto/contracts';
import { AltoClient, AltoError } from './index';

type Step = Response | Error | ((request: Request) => Response | Promise<Response>);

/** A client whose requests are answered by the given steps, in order; the last one goes on for ever. */
function clientOf(...steps: Step[]) {
  const requests: { url: string; init: RequestInit }[] = [];
  const fakeFetch = async (url: unknown, init: RequestInit = {}): Promise<Response> => {
    requests.push({ url: String(url), init });
    const step = steps.length > 1 ? steps.shift() : steps[0];
    if (step instanceof Error) throw step;
    if (typeof step === 'function') return step(new Request(String(url), { ...init, body: null }));
    return step?.clone() ?? new Response();
  };
  const client = new AltoClient({
    baseUrl: 'http://alto.test/',
    apiKey: 'alto_key',
    fetch: fakeFetch as typeof fetch,
    retry: { pauseMs: 1 },
  });
  return { client, requests };
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
const problem = (error: AltoError, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(toProblem(error, 'f'.repeat(32))), {
    status: error.status,
    headers: { 'content-type': 'application/problem+json', ...headers },
  });
const away = () => problem(new AltoError('service_unavailable', 'compute is away'));
const refusedConnection = () => new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });

describe('AltoClient', () => {
  it('has a method for every operation, by noun and verb', async () => {
    const { client, requests } = clientOf(json({ name: 'a' }));
    expect(await client.apps.get({ project: 'p', app: 'a' })).toEqual({ name: 'a' });
    await client.projects.create({ name: 'x' });
    await client.identity.get({});
    expect(requests.map(({ url, init }) => [init.method, url, init.body])).toEqual([
      ['GET', 'http://alto.test/v1/projects/p/apps/a', undefined],
      ['POST', 'http://alto.test/v1/projects', '{"name":"x"}'],
      ['GET', 'http://alto.test/v1/whoami', undefined],
    ]);
    expect(requests[1]?.init.headers).toMatchObject({
      authorization: 'Bearer alto_key',
      'content-type': 'application/json',
    });
  });

  it('throws what the API says', async () => {
    const { client } = clientOf(
      problem(new AltoError('invalid_request', { message: 'no', field: 'app', nextStep: 'do' })),
    );
    await expect(client.apps.get({ project: 'p', app: 'a' })).rejects.toMatchObject({
      code: 'invalid_request',
      field: 'app',
      nextStep: 'do',
      traceId: 'f'.repeat(32),
    });
  });

  it('makes sense of answers that are not from Alto', async () => {
    const proxy = new Response('<h1>503</h1>', { status: 503, headers: { 'content-type': 'text/html' } });
    const { client } = clientOf(proxy);
    await expect(client.call(gatewayOperations.projects.create, { name: 'x' })).rejects.toMatchObject({
      code: 'service_unavailable',
    });
  });

  it('tries calls again that are done once however often they are sent', async () => {
    const first = clientOf(away(), refusedConnection(), json({ ok: 1 }));
    expect(await first.client.apps.get({ project: 'p', app: 'a' })).toEqual({ ok: 1 });
    expect(first.requests).toHaveLength(3);
    const second = clientOf(refusedConnection());
    await expect(second.client.projects.create({ name: 'x' })).rejects.toMatchObject({
      code: 'service_unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
      nextStep: expect.stringContaining('alto status'),
    });
    const names = second.requests.map(({ init }) => new Headers(init.headers).get('idempotency-key'));
    expect(names).toHaveLength(4);
    expect(new Set(names).size).toBe(1);
    await expect(second.client.projects.create({ name: 'x' })).rejects.toBeInstanceOf(AltoError);
    expect(new Headers(second.requests.at(-1)?.init.headers).get('idempotency-key')).not.toBe(names[0]);
    const third = clientOf(away());
    await expect(third.client.apps.get({ project: 'p', app: 'a' })).rejects.toBeInstanceOf(AltoError);
    expect(third.requests).toHaveLength(4);
  });

  it('says on which terms a change is wanted', async () => {
    const { client, requests } = clientOf(json({}));
    const app = { project: 'p', app: 'a' };
    await client.apps.delete(app, { ifMatch: 3, dryRun: true });
    await client.routes.put({ project: 'p', route: 'r', host: 'h' }, { ifNoneMatch: '*' });
    await client.apps.scale({ ...app, replicas: 2 }, { idempotencyKey: 'mine' });
    await client.apps.put({ ...app, dryRun: 'false' } as never, { dryRun: true });
    const seen = requests.map(({ url, init }) => [
      url.slice('http://alto.test/v1/projects/p'.length),
      ...['if-match', 'if-none-match', 'idempotency-key'].map((name) => new Headers(init.headers).get(name)),
    ]);
    expect(seen).toEqual([
      ['/apps/a?dryRun=true', '"3"', null, null],
      ['/routes/r', null, '*', null],
      ['/apps/a/scale', null, null, 'mine'],
      ['/apps/a?dryRun=true', null, null, null],
    ]);
  });

  it('waits as long as it is told to', async () => {
    const limited = problem(new AltoError('rate_limited', 'slower'), { 'retry-after': '0.05' });
    const { client } = clientOf(limited, json({}));
    const startedAt = performance.now();
    await client.apps.get({ project: 'p', app: 'a' });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(45);
  });

  it('gives up in time, and when it is told to', async () => {
    const never = (request: Request) =>
      new Promise<Response>((_, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason as Error));
      });
    const { client } = clientOf(never);
    await expect(client.apps.get({ project: 'p', app: 'a' }, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'timeout',
    });
    const stop = new AbortController();
    const call = client.apps.get({ project: 'p', app: 'a' }, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
  });

  it('lists every page', async () => {
    const { client, requests } = clientOf(json({ items: [1, 2], nextCursor: 'c' }), json({ items: [3] }));
    const all: unknown[] = [];
    for await (const item of client.listAll(computeOperations.apps.list, { project: 'p', limit: 2 })) all.push(item);
    expect(all).toEqual([1, 2, 3]);
    expect(requests[1]?.url).toBe('http://alto.test/v1/projects/p/apps?limit=2&cursor=c');
  });

  it('uploads what can be sent twice again, and a stream once', async () => {
    const { upload } = storageOperations.bundles;
    const bytes = clientOf(away(), json({ id: 'bnd' }, 201));
    expect(await bytes.client.upload(upload, { project: 'p' }, new Uint8Array(3))).toEqual({ id: 'bnd' });
    expect(bytes.requests).toHaveLength(2);
    const stream = clientOf(away());
    const chunks = (async function* () {
      yield new Uint8Array(3);
    })();
    await expect(stream.client.upload(upload, { project: 'p' }, chunks)).rejects.toMatchObject({
      code: 'service_unavailable',
    });
    expect(stream.requests).toHaveLength(1);
    expect(stream.requests[0]?.init.body).toBeInstanceOf(ReadableStream);
  });

  it('names an upload where it is told to, and asks for a trial of it', async () => {
    const { upload } = storageOperations.bundles;
    const { client, requests } = clientOf(json({}), json({}));
    await client.upload(upload, { project: 'p' }, new Uint8Array(3));
    await client.upload(upload, { project: 'p' }, new Uint8Array(3), { idempotencyKey: 'mine', dryRun: true });
    expect(requests.map(({ init }) => new Headers(init.headers).get('idempotency-key'))).toEqual([null, 'mine']);
    expect(requests[1]?.url).toBe('http://alto.test/v1/projects/p/bundles?dryRun=true');
  });

  it('downloads at the pace of its caller', async () => {
    const { client } = clientOf(
      new Response('content', { headers: { 'content-type': 'application/gzip', 'content-length': '7' } }),
    );
    const download = await client.download(storageOperations.bundles.download, { project: 'p', bundle: 'b' });
    expect(download).toMatchObject({ contentType: 'application/gzip', sizeBytes: 7 });
    expect(await new Response(download.body).text()).toBe('content');
  });

  it('says which method an operation wants', async () => {
    const { client } = clientOf();
    await expect(client.call(storageOperations.bundles.upload, { project: 'p' })).rejects.toThrow('client.upload()');
    await expect(client.bundles.upload({ project: 'p' })).rejects.toThrow('client.upload()');
    await expect(client.nodes.sync({} as never)).rejects.toThrow("Alto's own services");
    await expect(client.call(gatewayOperations.events.follow, { project: 'p' })).rejects.toThrow('client.follow()');
  });
});
