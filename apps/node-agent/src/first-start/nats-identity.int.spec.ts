import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accountClaims } from '@alto/contracts';
import { eventually, freePort } from '@alto/testing';
import {
  type Account,
  createUser,
  decode,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  fromPublic,
  fromSeed,
  newScopedSigner,
  type Operator,
  parseCreds,
} from '@nats-io/jwt';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { ensureNatsIdentity, natsConfiguration, natsUsers } from './nats-identity';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-nats-identity-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const make = () => ensureNatsIdentity(folder, natsUsers('node_1'));
const keyIn = (file: string) => fromSeed(Buffer.from(readFileSync(join(folder, file), 'utf8').trim()));

it('keeps subscribers in an account of their own, also where an earlier version had none', async () => {
  const made = await make();
  const older = { account: keyIn('account.nk'), signer: keyIn('operator.nk') };
  const claims = { signing_keys: [newScopedSigner(keyIn('subscribers.nk'), 'subscriber', {})] };
  writeFileSync(join(folder, 'operator.jwt'), await encodeOperator('alto', older.signer, {}));
  writeFileSync(join(folder, 'account.jwt'), await encodeAccount('ALTO', older.account, claims, older));
  for (const name of ['accounts.nk', 'subscribers-account.nk', 'subscribers-account.jwt', 'gateway-system.creds'])
    rmSync(join(folder, name));
  const renewed = await make();
  expect(renewed.account.publicKey).toBe(made.account.publicKey);
  expect(renewed.credentialsFiles).toEqual(made.credentialsFiles);

  const services = decode<Account>(renewed.account.jwt).nats;
  expect(services.signing_keys ?? []).toEqual([]);
  expect(services.exports).toEqual([{ name: 'events', subject: 'alto.events.*.>', type: 'stream' }]);
  const subscribers = decode<Account>(renewed.subscriberAccount.jwt).nats;
  expect(subscribers.imports).toMatchObject([{ account: made.account.publicKey, subject: 'alto.events.*.>' }]);
  expect(subscribers.limits).toMatchObject({ leaf: 0, exports: 0 });
  expect(subscribers.signing_keys).toMatchObject([
    { kind: 'user_scope', key: keyIn('subscribers.nk').getPublicKey(), template: { pub: { deny: ['>'] } } },
  ]);
});

it('hands the gateway a key that vouches for accounts, and a way to replace one of them', async () => {
  const { operatorJwt, systemAccount, subscribers } = await make();
  const voucher = fromSeed(readFileSync(subscribers.accountKeyFile)).getPublicKey();
  expect(decode<Operator>(operatorJwt).nats.signing_keys).toEqual([voucher]);
  const { uc } = await parseCreds(readFileSync(subscribers.systemCredsFile));
  expect(uc.iss).toBe(systemAccount.publicKey);
  expect(uc.nats).toMatchObject({
    pub: { allow: ['LOOKUP', 'UPDATE'].map((verb) => `$SYS.REQ.ACCOUNT.${subscribers.account}.CLAIMS.${verb}`) },
    sub: { allow: ['_INBOX_gateway.>'] },
  });
});

it('has nats-server refuse a subscriber that the gateway ends, and keep the services', async () => {
  const identity = await make();
  const [port, file] = [await freePort(), join(folder, 'nats.conf')];
  const [storeDirectory, accountsDirectory] = [join(folder, 'jetstream'), join(folder, 'accounts')];
  writeFileSync(file, natsConfiguration({ port, storeDirectory, accountsDirectory, identity }));
  const server = spawn('nats-server', ['-c', file], { stdio: 'ignore' });
  const open: NatsConnection[] = [];
  const signIn = async (credentials: Uint8Array, inboxPrefix = '_INBOX') => {
    const authenticator = credsAuthenticator(credentials);
    const options = { port, authenticator, inboxPrefix, reconnect: false, timeout: 20_000 };
    open.push(await connect(options));
    return open.at(-1)!;
  };
  try {
    const { subscribers } = identity;
    const credentials = readFileSync(identity.credentialsFiles.get('compute') ?? '');
    const service = await eventually(() => signIn(credentials));
    const system = await signIn(readFileSync(subscribers.systemCredsFile), '_INBOX_gateway');
    const [key, signer] = [createUser(), fromSeed(readFileSync(subscribers.keyFile))];
    const account = fromPublic(subscribers.account);
    const user = fmtCreds(await encodeUser('project', key, account, {}, { signer, scopedUser: true }), key);
    const subscriber = await eventually(() => signIn(user));

    const { lookup, update } = accountClaims(subscribers.account);
    const held = decode<Account>((await system.request(lookup, '', { timeout: 20_000 })).string());
    const revocations = { [key.getPublicKey()]: 2 ** 32 };
    const voucher = fromSeed(readFileSync(subscribers.accountKeyFile));
    const ended = await encodeAccount(held.name, account, { ...held.nats, revocations }, { signer: voucher });
    const answer = await system.request(update, ended, { timeout: 20_000 });
    expect(answer.json()).toMatchObject({ data: { code: 200 } });
    await subscriber.closed();
    await eventually(() => expect(signIn(user)).rejects.toThrow(/[Aa]uthorization/));
    await service.flush();
  } finally {
    for (const connection of open) await connection.close();
    server.kill('SIGKILL');
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  }
});

it('keeps what it has made, and keeps it from other users', async () => {
  const made = await make();
  const files = () => readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mtimeMs]);
  const before = files();
  expect(await make()).toEqual(made);
  expect(files()).toEqual(before);
  expect(readdirSync(folder).filter((name) => (statSync(join(folder, name)).mode & 0o077) !== 0)).toEqual([]);
});
