/** Credentials of subscribers that are revoked, tried with a plain NATS client while gateways and NATS come and go. */
import { readFileSync, rmSync } from 'node:fs';
import { accountClaims, natsPermissions, projectEvents } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { decode, encodeAccount, fromPublic, fromSeed, parseCreds } from '@nats-io/jwt';
import { connect, credsAuthenticator, type NatsConnection, PermissionViolationError } from '@nats-io/transport-node';
import { type Answer, Gateways, type Question } from '../gateways.fake';

interface Made {
  id: string;
  credentials: string;
  subject: string;
}

interface Revoked {
  revokedAt: string | null;
  pending: string | null;
}

let gateways: Gateways;
let settings: Record<string, string>;
let project: string;
const connections: NatsConnection[] = [];

beforeAll(async () => {
  gateways = await Gateways.start(2, {}, { secured: true });
  settings = await gateways.nats.subscriberSettings();
  project = (await gateways.createProject('shop')).id;
});

afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
});

afterAll(() => gateways?.stop());

/** Asked again where a busy machine keeps the database waiting: that is not what is tried here. */
async function ask(method: string, path: string, question: Question = {}): Promise<Answer> {
  return eventually(async () => {
    const answer = await gateways.call(method, `/v1/projects/${path}`, question);
    expect(answer).not.toMatchObject({ status: 503 });
    return answer;
  });
}

async function create(of = 'shop'): Promise<Made> {
  const { status, body } = await ask('POST', `${of}/keys/nats`, { body: { name: 'feed' } });
  expect({ status, body }).toMatchObject({ status: 201 });
  return body as Made;
}

async function revoke({ id }: Made, more: Question & { query?: string } = {}): Promise<Revoked> {
  const { query = '', ...question } = more;
  const { status, body } = await ask('DELETE', `shop/keys/${id}${query}`, question);
  expect({ status, body }).toMatchObject({ status: 200 });
  return body as Revoked;
}

/** Until the answer says that NATS refuses them: at once but on a very busy machine. */
const revokeWhole = (made: Made, question: Question = {}) =>
  eventually(async () => {
    const answer = await revoke(made, question);
    expect(answer).toMatchObject({ revokedAt: expect.any(String), pending: null });
  });

const gateway = (index: number) => ({ gateway: gateways.all[index % gateways.all.length]! });

/** Whether NATS lets them in, now. Tried again where it finds the client too slow to say who it is. */
async function trial(credentials: string | Uint8Array, inboxPrefix?: string): Promise<NatsConnection | undefined> {
  const authenticator = credsAuthenticator(Buffer.from(credentials));
  const options = { servers: gateways.nats.url, authenticator, reconnect: false, timeout: 20_000 };
  const [connection] = await eventually(async () => {
    try {
      return [await connect({ ...options, ...(inboxPrefix !== undefined && { inboxPrefix }) })];
    } catch (error) {
      if (/[Aa]uthorization|[Rr]evoked/.test((error as Error).message)) return [];
      throw error;
    }
  });
  if (connection !== undefined) connections.push(connection);
  return connection;
}

const isTaken = async ({ credentials }: Made) => (await trial(credentials)) !== undefined;

async function connectWith(credentials: string | Uint8Array, inboxPrefix?: string): Promise<NatsConnection> {
  const connection = await trial(credentials, inboxPrefix);
  if (connection === undefined) throw new Error('NATS does not let them in.');
  return connection;
}

const untilRefused = (made: Made) => eventually(async () => expect(await isTaken(made)).toBe(false), { everyMs: 100 });

/** Events of the project that it hears. */
async function listen(made: Made): Promise<{ connection: NatsConnection; heard: string[] }> {
  const connection = await connectWith(made.credentials);
  const heard: string[] = [];
  connection.subscribe(made.subject, { callback: (_, message) => void heard.push(message.subject) });
  await connection.flush();
  return { connection, heard };
}

it('are cut off and refused once the answer is there, while everybody else stays connected', async () => {
  const [feed, other] = [await create(), await create()];
  const service = await connectWith(readFileSync(await serviceCreds()));
  const cut = await listen(feed);
  const kept = await listen(other);
  const numbers = () => [service, kept.connection].map((one) => [one.info?.client_id, one.isClosed()]);
  const before = numbers();

  await revokeWhole(feed, gateway(1));
  expect(await isTaken(feed)).toBe(false);
  await cut.connection.closed();
  expect(numbers()).toEqual(before);
  await service.flush();

  await gateways.createKey('shop', 'viewer');
  await eventually(() => expect(kept.heard).toContain(`alto.events.${project}.gateway.keys.created`));
  expect(await isTaken(other)).toBe(true);
});

it('stay refused when NATS is started anew, from its first moment on', async () => {
  const [feed, other] = [await create(), await create()];
  await revokeWhole(feed);
  await gateways.nats.kill();
  await gateways.nats.start();
  expect(await isTaken(feed)).toBe(false);
  expect(await isTaken(other)).toBe(true);
});

it('are refused again when NATS has lost all that it was told', async () => {
  const [feed, other] = [await create(), await create()];
  await revokeWhole(feed);
  await gateways.nats.shutDown();
  rmSync(gateways.nats.accountsFolder, { recursive: true });
  await gateways.nats.start();
  await untilRefused(feed);
  expect(await isTaken(other)).toBe(true);
});

it('revoked while NATS is away are refused when it is back, and the answer says so', async () => {
  const feed = await create();
  await gateways.nats.shutDown();
  const answer = await revoke(feed);
  await gateways.nats.start();
  // A busy machine may find out only by asking in vain.
  const why = expect.stringMatching(/^NATS (is away|does not answer|has not confirmed it yet)\./);
  expect(answer).toMatchObject({ revokedAt: expect.any(String), pending: why });
  await untilRefused(feed);
  await revokeWhole(feed);
});

it('are cut off when the gateway that revoked them was killed before it could tell NATS', async () => {
  const feed = await create();
  const { connection } = await listen(feed);
  await gateways.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [feed.id]);
  await connection.closed();
  expect(await isTaken(feed)).toBe(false);
});

it('may be revoked at several gateways at once', async () => {
  const made = await Promise.all(Array.from({ length: 8 }, () => create()));
  await Promise.all(made.map((one, index) => revokeWhole(one, gateway(index))));
  // A gateway that wrote what it had read a moment earlier sees that, and writes again.
  for (const one of made) await untilRefused(one);
});

it('are revoked under a condition as well, and not at all by a trial', async () => {
  const feed = await create();
  const { connection } = await listen(feed);
  const answer = await revoke(feed, { query: '?dryRun=true' });
  expect(answer).toMatchObject({ revokedAt: expect.any(String), pending: expect.any(String) });
  expect(await isTaken(feed)).toBe(true);
  expect(connection.isClosed()).toBe(false);
  await revoke(feed, { headers: { 'if-match': '"1"' } });
  await connection.closed();
  await untilRefused(feed);
});

it('are bounded in number, since NATS has to remember those that were revoked', async () => {
  await gateways.createProject('crowded');
  const one = await create('crowded');
  await gateways.query(
    `INSERT INTO api_keys (id, project_id, name, kind, nats_user, role, hash, version, created_at, expires_at, revoked_at)
     SELECT id || n, project_id, name, kind, nats_user || n, role, hash, version, created_at, expires_at, now()
     FROM api_keys, generate_series(1, 499) AS n WHERE id = $1`,
    [one.id],
  );
  const more = await ask('POST', 'crowded/keys/nats', { body: { name: 'last' } });
  expect([more.status, more.body.code]).toEqual([429, 'quota_exceeded']);
  expect(await isTaken(await create())).toBe(true);
});

describe('what a gateway ends them with', () => {
  const system = async () => connectWith(readFileSync(settings['ALTO_NATS_SYSTEM_CREDS_FILE'] ?? ''), '_INBOX_gateway');
  const account = () => settings['ALTO_NATS_SUBSCRIBER_ACCOUNT'] ?? '';

  it('lets it replace no other account, and see nothing else of the system', async () => {
    const { uc } = await parseCreds(readFileSync(await serviceCreds()));
    const { uc: own } = await parseCreds(readFileSync(settings['ALTO_NATS_SYSTEM_CREDS_FILE'] ?? ''));
    const connection = await system();
    const refused: string[] = [];
    const listening = (async () => {
      for await (const status of connection.status())
        if (status.type === 'error' && status.error instanceof PermissionViolationError)
          refused.push(status.error.subject);
    })();
    const signer = fromSeed(readFileSync(settings['ALTO_NATS_ACCOUNT_KEY_FILE'] ?? ''));
    const forged = await encodeAccount('ALTO', fromPublic(uc.iss), {}, { signer });
    const others = [accountClaims(uc.iss), accountClaims(own.iss)].flatMap(({ lookup, update }) => [lookup, update]);
    const published = [
      ...others,
      ...['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.CLAIMS.DELETE', '$SYS.REQ.CLAIMS.LIST', '$SYS.REQ.SERVER.PING'],
      ...[`$SYS.ACCOUNT.${uc.iss}.CLAIMS.UPDATE`, `$SYS.ACCOUNT.${account()}.CLAIMS.UPDATE`, 'alto.rpc.any'],
    ];
    const heard = ['>', '$SYS.>', '$SYS.ACCOUNT.>', '$SYS.REQ.>', '_INBOX.>', projectEvents(project)];
    for (const subject of published) connection.publish(subject, forged);
    for (const subject of heard) connection.subscribe(subject, { callback: () => undefined });
    await connection.flush();
    await connection.close();
    await listening;
    expect(refused.sort()).toEqual([...published, ...heard].sort());
  });

  it('keeps the account as first start made it but for who is refused', async () => {
    const connection = await system();
    const read = async () => {
      const { lookup } = accountClaims(account());
      const answer = await connection.request(lookup, undefined, { timeout: 20_000 });
      return decode<{ revocations?: object }>(answer.string()).nats;
    };
    const { revocations: before = {}, ...shape } = await read();
    const feed = await create();
    await revokeWhole(feed);
    const { revocations: after = {}, ...sameShape } = await read();
    expect(sameShape).toEqual(shape);
    const { uc } = await parseCreds(Buffer.from(feed.credentials));
    expect(Object.keys(after)).toEqual(expect.arrayContaining([...Object.keys(before), uc.sub]));
    expect(await isTaken(feed)).toBe(false);
  });
});

function serviceCreds(): Promise<string> {
  return gateways.nats.credsFile('compute', natsPermissions('compute'));
}
