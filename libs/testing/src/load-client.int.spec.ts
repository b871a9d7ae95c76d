import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from './eventually';
import { loadClient, type LoadOptions } from './load-client';

let server: Server | undefined;

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/some/path?query=1`;
}

async function count(options: Omit<LoadOptions, 'connections'>, requests = 30) {
  const client = loadClient({ connections: 3, ...options });
  await eventually(() => expect(client.report().requests).toBeGreaterThanOrEqual(requests));
  return client.stop();
}

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
});

it.each([
  [true, 3],
  [false, undefined],
])('counts right answers by instance, keep-alive %s', async (keepAlive, connections) => {
  let opened = 0;
  const url = await serve((request, response) => {
    expect(request.url).toBe('/some/path?query=1');
    expect(request.headers.host).toBe('a.test');
    response.end('i1');
  });
  server!.on('connection', () => opened++);
  const report = await count({ url, host: 'a.test', keepAlive });
  expect(report).toMatchObject({ failed: 0, failures: {}, instances: { i1: report.requests } });
  expect(opened).toBe(connections ?? report.requests);
  expect(report.latencyMs.p50).toBeGreaterThan(0);
  expect(report.latencyMs.max).toBeGreaterThanOrEqual(report.latencyMs.p99);
});

it('opens another connection before the server closes one that was idle for too long', async () => {
  let opened = 0;
  const url = await serve((_, response) => response.setHeader('keep-alive', 'timeout=1').end('i1'));
  server!.on('connection', () => opened++);
  const report = await count({ url, keepAlive: true });
  expect(report.failed).toBe(0);
  expect(opened).toBe(report.requests);
});

it('reads answers in chunks and answers that end with the connection', async () => {
  let turn = 0;
  const url = await serve((_, response) => {
    if (turn++ % 2 === 0) {
      response.write('in ');
      setImmediate(() => response.end('chunks'));
    } else {
      response.socket!.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end');
    }
  });
  const report = await count({ url, keepAlive: true });
  expect(report.failed).toBe(0);
  expect(Object.keys(report.instances).sort()).toEqual(['in chunks', 'to the end']);
});

it('counts every kind of failure', async () => {
  let turn = 0;
  const url = await serve((request, response) => {
    const kinds = [
      () => response.writeHead(503).end(),
      () => request.socket.resetAndDestroy(),
      () => request.socket.end(),
      () => request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort'),
      () => response.end('wrong'),
      () => undefined,
    ];
    kinds[turn++ % kinds.length]!();
  });
  const report = await count({ url, keepAlive: true, timeoutMs: 100, isRight: ({ body }) => body === 'right' });
  expect(report.failed).toBe(report.requests);
  expect(Object.keys(report.failures).sort()).toEqual([
    'closed without an answer',
    'reset',
    'status 503',
    'timeout',
    'wrong answer, status 200',
  ]);
});

it('counts refused connections, and keeps to its rate', async () => {
  const url = await serve((_, response) => response.end('ok'));
  const startedAt = performance.now();
  const report = await count({ url, keepAlive: true, rate: 200 }, 50);
  expect(performance.now() - startedAt).toBeGreaterThan(150);
  expect(report.failed).toBe(0);
  await new Promise((resolve) => server!.close(resolve));
  expect((await count({ url, keepAlive: true }, 3)).failures).toEqual({ refused: expect.any(Number) });
});
