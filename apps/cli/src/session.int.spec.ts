/** Whom a command talks to and with which key. The agent and all that is talked to are stood in for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeOperations, storageOperations } from '@alto/contracts';
import { writeConfiguration } from './configuration';
import { Output } from './output';
import { makeProgram } from './program';
import { Session } from './session';

interface Listener {
  readonly url: string;
  readonly port: number;
  /** What each request of the API brought along; its health is asked without a key. */
  readonly keys: (string | undefined)[];
}

let folder: string;
let app: string;
let configuration: string;
let servers: Server[];
/** The Alto of this machine. */
let here: Listener;
/** Any other. */
let elsewhere: Listener;

async function listen(answer: (request: IncomingMessage) => unknown, socket?: string): Promise<Server> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer(request)));
  });
  servers.push(server);
  const { promise, resolve } = Promise.withResolvers<void>();
  if (socket === undefined) server.listen(0, '127.0.0.1', resolve);
  else server.listen(socket, resolve);
  await promise;
  return server;
}

async function listenAsAlto(): Promise<Listener> {
  const keys: (string | undefined)[] = [];
  const server = await listen(({ url, headers }) => {
    if (url !== '/healthz') keys.push(headers.authorization);
    return { items: [] };
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, keys };
}

beforeEach(async () => {
  servers = [];
  folder = mkdtempSync(join(tmpdir(), 'alto-session-'));
  for (const name of ['run', 'keys']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'keys', 'admin.key'), 'operator\n');
  configuration = join(folder, '.config', 'alto', 'config.json');
  app = join(folder, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'alto.yaml'), 'command: [node, server.mjs]\n');
  [here, elsewhere] = [await listenAsAlto(), await listenAsAlto()];
  const haproxy = {
    ...{ id: 'haproxy.0', kind: 'static', name: 'haproxy', want: 'running', phase: 'ready', reason: '' },
    ...{ pid: 1, startedAtMs: 0, restarts: 0, release: null, ports: { api: here.port, apps: 8080, s3: 9000 } },
  };
  const status = {
    ...{ version: '1', pid: 1, nodeId: 'nod_1', startedAt: new Date(0).toISOString(), phase: 'running' },
    ...{ progress: [], workloads: [haproxy] },
  };
  await listen(() => status, join(folder, 'run', 'agent.sock'));
});

afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

function makeSession(environment: Record<string, string> = {}, url?: string): Session {
  const session = new Session({ HOME: folder, ALTO_DATA_DIR: folder, ...environment });
  session.choose({ url });
  return session;
}

async function ask(session: Session): Promise<void> {
  await (await session.client()).projects.list({});
}

const logIn = (url: string) => writeConfiguration(configuration, { url, key: 'saved', project: 'shop' });

describe('the Alto of this machine', () => {
  it('is the one that is meant where nothing else is chosen', async () => {
    await ask(makeSession());
    expect(here.keys).toEqual(['Bearer operator']);
  });

  it('can be asked for whatever was logged in to or stands in the environment', async () => {
    logIn(elsewhere.url);
    const environment = { ALTO_URL: elsewhere.url, ALTO_API_KEY: 'key', ALTO_PROJECT: 'shop', ALTO_API_PORT: '9' };
    const session = makeSession(environment, elsewhere.url).ofThisMachine();
    await ask(session);
    expect(session.project).toBe('default');
    expect(await session.localProxy()).toMatchObject({ port: 8080 });
    expect([here.keys, elsewhere.keys]).toEqual([['Bearer operator'], []]);
  });

  it('is the one into which alto up deploys', async () => {
    logIn(elsewhere.url);
    const quiet = { write: () => true };
    const session = new Session({ HOME: folder, ALTO_DATA_DIR: folder, ALTO_API_KEY: 'key' });
    const program = makeProgram(session, new Output(quiet, quiet, false));
    // What stands in for the API knows nothing of apps.
    await program.parseAsync(['up', '--detach', '--deploy', app], { from: 'user' }).catch(() => undefined);
    expect(new Set(here.keys)).toEqual(new Set(['Bearer operator']));
    expect(elsewhere.keys).toEqual([]);
  });

  it('is asked no further once the command is interrupted', async () => {
    const silent = createServer(() => {});
    servers.push(silent);
    const { promise, resolve } = Promise.withResolvers<void>();
    silent.listen(0, '127.0.0.1', resolve);
    await promise;
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const stop = new AbortController();
    const client = await makeSession({ ALTO_API_KEY: 'key' }, url).client(stop.signal);
    const calls = [
      client.apps.get({ project: 'default', app: 'shop' }),
      client.listAll(computeOperations.apps.list, { project: 'default' }).next(),
      client.upload(storageOperations.bundles.upload, { project: 'default' }, new Blob(['x'])),
    ];
    const reason = new Error('Ctrl-C');
    stop.abort(reason);
    for (const call of calls) await expect(call).rejects.toBe(reason);
  });

  it('has the project that was named', () => {
    const session = makeSession({ ALTO_PROJECT: 'shop' });
    session.choose({ project: 'blog' });
    expect(session.ofThisMachine().project).toBe('blog');
  });
});

describe('the key of the operator', () => {
  it.each(['option', 'environment', 'file'])('is sent to nobody else, named by %s', async (by) => {
    if (by === 'file') writeConfiguration(configuration, { url: elsewhere.url });
    const environment: Record<string, string> = by === 'environment' ? { ALTO_URL: elsewhere.url } : {};
    const session = makeSession(environment, by === 'option' ? elsewhere.url : undefined);
    await expect(ask(session)).rejects.toMatchObject({
      message: expect.stringMatching(/no API key.* is not the Alto of this machine/),
      nextStep: expect.stringContaining('alto login --url'),
      exitCode: 3,
    });
    expect(elsewhere.keys).toEqual([]);
  });

  it.each([
    'http://127.0.0.1:<port>@127.0.0.1:<other>',
    'http://127.0.0.1:<other>/127.0.0.1:<port>',
    'http://127.0.0.1:<port>.invalid',
    'http://localhost.invalid:<port>',
    'https://127.0.0.1:<port>',
    'no address',
  ])('is not sent to %s', async (attack) => {
    const url = attack.replace('<port>', String(here.port)).replace('<other>', String(elsewhere.port));
    await expect(ask(makeSession({}, url))).rejects.toMatchObject({ exitCode: 3 });
    expect([here.keys, elsewhere.keys]).toEqual([[], []]);
  });

  it.each(['http://127.0.0.1:<port>', 'http://127.0.0.1:<port>/', 'http://localhost:<port>', 'http://[::1]:<port>/'])(
    'is used with %s, which is the Alto of this machine',
    async (named) => {
      await ask(makeSession({}, named.replace('<port>', String(here.port))));
      expect(here.keys).toEqual(['Bearer operator']);
    },
  );

  it('is not used where another one was given', async () => {
    await ask(makeSession({ ALTO_API_KEY: 'given' }));
    expect(here.keys).toEqual(['Bearer given']);
  });
});

describe('the key of alto login', () => {
  it('goes where it was logged in to, with or without a slash at the end, and to nobody else', async () => {
    logIn(`${elsewhere.url}/`);
    await ask(makeSession());
    await ask(makeSession({}, elsewhere.url));
    await ask(makeSession({ ALTO_URL: `${elsewhere.url}//` }));
    expect(elsewhere.keys).toEqual(Array(3).fill('Bearer saved'));
    await ask(makeSession({}, here.url));
    expect(here.keys).toEqual(['Bearer operator']);
  });
});
