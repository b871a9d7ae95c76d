import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Account,
  decode,
  encodeAccount,
  encodeOperator,
  fromSeed,
  newScopedSigner,
  type Operator,
  parseCreds,
} from '@nats-io/jwt';
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

it('is taken by nats-server', async () => {
  const accountsDirectory = join(folder, 'accounts');
  const plan = { port: 4222, storeDirectory: join(folder, 'jetstream'), accountsDirectory, identity: await make() };
  const file = join(folder, 'nats.conf');
  writeFileSync(file, natsConfiguration(plan));
  const { status, stderr } = spawnSync('nats-server', ['-t', '-c', file], { encoding: 'utf8' });
  expect({ status, stderr }).toMatchObject({ status: 0 });
});

it('keeps what it has made, and keeps it from other users', async () => {
  const made = await make();
  const files = () => readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mtimeMs]);
  const before = files();
  expect(await make()).toEqual(made);
  expect(files()).toEqual(before);
  expect(readdirSync(folder).filter((name) => (statSync(join(folder, name)).mode & 0o077) !== 0)).toEqual([]);
});
