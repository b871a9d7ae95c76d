/** Credentials of a project's subscriber, tried with a plain NATS client: they read their project's events and nothing else. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  allOperations,
  eventsStream,
  inboxPrefix,
  natsPermissions,
  projectEvents,
  rollCallSubject,
  serviceNames,
} from '@alto/contracts';
import {
  createDatabase,
  eventually,
  type NatsServer,
  repositoryRoot,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { createUser, encodeUser, fmtCreds, fromPublic, fromSeed } from '@nats-io/jwt';
import { connect, credsAuthenticator, type NatsConnection, PermissionViolationError } from '@nats-io/transport-node';
import { gatewayService } from '../gateway.module';
import { type FirstOperator, makeFirstOperator } from '../identity/first-operator.fake';

interface Made {
  id: string;
  kind: string;
  credentials: string;
  subject: string;
  servers: string[];
  expiresAt: string;
}

let nats: NatsServer;
let database: TestDatabase;
let operator: FirstOperator;
let gateway: TestService;
const projects: Record<'own' | 'other', string> = { own: '', other: '' };
const connections: NatsConnection[] = [];

async function api<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${operator.key}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

const create = (more: object = {}) =>
  api<Made & { field?: string }>('POST', '/v1/projects/own/keys/nats', { name: 'feed', ...more });

/** Tried again where NATS finds the client too slow to say who it is. @throws Error when NATS does not let them in */
async function connectWith(credentials: string | Uint8Array): Promise<NatsConnection> {
  const authenticator = credsAuthenticator(Buffer.from(credentials));
  const outcome = await eventually(async () => {
    try {
      return await connect({ servers: nats.url, authenticator, reconnect: false, timeout: 20_000 });
    } catch (error) {
      if (/[Aa]uthorization|[Ee]xpired/.test((error as Error).message)) return error as Error;
      throw error;
    }
  });
  if (outcome instanceof Error) throw outcome;
  connections.push(outcome);
  return outcome;
}

/** Of what is tried, what the server has refused. */
async function refused(
  connection: NatsConnection,
  operation: 'publish' | 'subscription',
  subjects: readonly string[],
): Promise<string[]> {
  const found: string[] = [];
  const listening = (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'error' && status.error instanceof PermissionViolationError) found.push(status.error.subject);
    }
  })();
  for (const subject of subjects) {
    if (operation === 'publish') connection.publish(subject);
    else connection.subscribe(subject, { callback: () => undefined });
  }
  await connection.flush();
  await connection.close();
  await listening;
  return found;
}

beforeAll(async () => {
  nats = await startNats({ secured: true });
  operator = makeFirstOperator();
  const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
  database = await createDatabase({ name: 'gateway', entities, migrations });
  gateway = await startTestService(gatewayService, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: {
      ...operator.settings,
      ALTO_NATS_CREDS_FILE: await nats.credsFile('gateway', natsPermissions('gateway')),
      ...(await nats.subscriberSettings()),
    },
  });
  await eventually(async () => expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200));
  for (const name of ['own', 'other'] as const) {
    projects[name] = (await api<{ id: string }>('POST', '/v1/projects', { name })).body.id;
  }
});

afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
});

afterAll(async () => {
  await gateway?.stop();
  await database?.drop();
  await nats?.stop();
  operator?.remove();
});

it("read their project's events, and those of no other", async () => {
  const { status, body } = await create();
  expect([status, body.kind, body.subject, body.servers]).toEqual([
    201,
    'nats',
    projectEvents(projects.own),
    [nats.url],
  ]);
  const connection = await connectWith(body.credentials);
  const heard: string[] = [];
  connection.subscribe(body.subject, { callback: (_, { data }) => void heard.push(Buffer.from(data).toString()) });
  await connection.flush();
  for (const project of ['other', 'own'])
    expect((await api('POST', `/v1/projects/${project}/keys`, { name: `of ${project}`, role: 'viewer' })).status).toBe(
      201,
    );
  await eventually(() => expect(heard.join()).toContain('of own'));
  expect(heard.join()).not.toContain('of other');
});

it('can listen nowhere else', async () => {
  const { credentials } = (await create()).body;
  const subjects = [
    ...[projectEvents(projects.other), 'alto.events.>', 'alto.events.*.>', 'alto.events.cluster.>', '>', '*', '*.>'],
    ...['alto.>', 'alto.announce.*', rollCallSubject, 'alto.nudge.>', 'alto.contract.>', '$JS.>', '$SYS.>', '$SRV.>'],
    ...['_INBOX.>', '_INBOX.any', ...serviceNames.map((name) => `${inboxPrefix(name)}.>`)],
    ...allOperations.map(({ subject }) => subject),
  ];
  expect(await refused(await connectWith(credentials), 'subscription', subjects)).toEqual(subjects);
});

it('can say and ask nothing', async () => {
  const { credentials } = (await create()).body;
  const subjects = [
    `alto.events.${projects.own}.gateway.keys.created`,
    `alto.events.${projects.other}.gateway.keys.created`,
    ...['STREAM.INFO', 'STREAM.MSG.GET', 'CONSUMER.CREATE', 'STREAM.PURGE'].map(
      (verb) => `$JS.API.${verb}.${eventsStream}`,
    ),
    ...[
      '$SRV.PING',
      '$SYS.REQ.SERVER.PING',
      rollCallSubject,
      'alto.announce.compute',
      '_INBOX_compute.any',
      'anything',
    ],
    ...allOperations.map(({ subject }) => subject),
  ];
  expect(await refused(await connectWith(credentials), 'publish', subjects)).toEqual(subjects);
});

it('end at their time, which is 90 days away unless said, and a year at most', async () => {
  const { expiresAt } = (await create()).body;
  expect((Date.parse(expiresAt) - Date.now()) / 86_400_000).toBeCloseTo(90, 1);
  const late = await create({ expiresAt: new Date(Date.now() + 400 * 86_400_000).toISOString() });
  expect([late.status, late.body.field]).toEqual([422, 'expiresAt']);
  const past = await create({ expiresAt: new Date(Date.now() - 1_000).toISOString() });
  expect([past.status, past.body.field]).toEqual([422, 'expiresAt']);

  const soon = await create({ expiresAt: new Date(Date.now() + 15_000).toISOString() });
  const connection = await connectWith(soon.body.credentials);
  await connection.closed();
  // Whole seconds: it may be let in once more within the last one.
  await eventually(async () =>
    expect(connectWith(soon.body.credentials)).rejects.toThrow(/[Aa]uthorization|[Ee]xpired/),
  );
});

it('are listed and revoked as keys are, sign in to no API, and are not rotated', async () => {
  const { id, credentials } = (await create()).body;
  const { items } = (await api<{ items: Made[] }>('GET', '/v1/projects/own/keys')).body;
  expect(items.find((key) => key.id === id)).toMatchObject({ kind: 'nats', role: 'viewer', scopes: ['events.read'] });
  expect(JSON.stringify(items)).not.toContain(/SU[A-Z0-9]{56}/.exec(credentials)?.[0]);
  expect((await api('POST', `/v1/projects/own/keys/${id}/rotate`, {})).status).toBe(409);
  const claimed = `alto_${id.slice('key_'.length)}_${'0'.repeat(64)}`;
  const answer = await fetch(`${gateway.url}/v1/whoami`, { headers: { authorization: `Bearer ${claimed}` } });
  expect(answer.status).toBe(401);
  expect((await api<{ revokedAt: string }>('DELETE', `/v1/projects/own/keys/${id}`)).body.revokedAt).not.toBeNull();
});

describe('the key that signs them', () => {
  const signWith = async (name: string, claims: object, scopedUser: boolean) => {
    const signer = fromSeed(readFileSync(nats.subscriberKeyFile()));
    const user = createUser();
    const account = fromPublic((await nats.subscriberSettings())['ALTO_NATS_SUBSCRIBER_ACCOUNT'] ?? '');
    return fmtCreds(await encodeUser(name, user, account, claims, { signer, scopedUser }), user);
  };

  it('makes nobody whom its holder gives other permissions', async () => {
    const all = { pub: { allow: ['>'] }, sub: { allow: ['>'] } };
    await expect(connectWith(await signWith(projects.own, all, false))).rejects.toThrow(/[Aa]uthorization/);
    await expect(connectWith(await signWith(projects.own, all, true))).rejects.toThrow(/[Aa]uthorization/);
  });

  it.each(['', '>', '*.>', 'compute', 'a b'])('makes nobody but a reader of events of the name %j', async (name) => {
    const connection = await connectWith(await signWith(name, {}, true));
    const subjects = [projectEvents(projects.own), 'alto.rpc.>', '_INBOX_compute.>', '>', 'alto.announce.*'];
    expect(await refused(connection, 'subscription', subjects)).toEqual(subjects);
  });
});

it('serve the example of docs/events.md', async () => {
  const { credentials } = (await create()).body;
  const [, program = ''] =
    /```js\n([\s\S]*?)```/.exec(readFileSync(join(repositoryRoot, 'docs', 'events.md'), 'utf8')) ?? [];
  // Where its import is found.
  const cache = join(repositoryRoot, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'alto-example-'));
  try {
    writeFileSync(join(folder, 'main.mjs'), program);
    writeFileSync(join(folder, 'feed.creds'), credentials);
    const env = { ...process.env, NATS_URL: nats.url, PROJECT_ID: projects.own };
    const child = spawn(process.execPath, ['main.mjs'], { cwd: folder, env });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await eventually(
      async () => {
        await api('POST', '/v1/projects/own/keys', { name: 'told', role: 'viewer' });
        expect(said).toMatch(/^gateway\.keys\.created key_/m);
      },
      { withinMs: 30_000, everyMs: 200 },
    );
    child.kill('SIGKILL');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
