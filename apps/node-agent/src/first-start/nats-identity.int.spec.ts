import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Account, decode, encodeAccount, fromSeed } from '@nats-io/jwt';
import { ensureNatsIdentity, natsUsers } from './nats-identity';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-nats-identity-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const make = () => ensureNatsIdentity(folder, natsUsers('node_1'));
const keyIn = (file: string) => fromSeed(Buffer.from(readFileSync(join(folder, file), 'utf8').trim()));

it('lets a key of its own sign subscribers, also in an account that was made before there was one', async () => {
  const made = await make();
  const older = await encodeAccount('ALTO', keyIn('account.nk'), {}, { signer: keyIn('operator.nk') });
  writeFileSync(join(folder, 'account.jwt'), older);
  rmSync(join(folder, 'subscribers.nk'));
  const renewed = await make();
  expect(renewed.account.publicKey).toBe(made.account.publicKey);
  expect(readFileSync(join(folder, 'account.jwt'), 'utf8')).toBe(renewed.account.jwt);
  expect(decode<Account>(renewed.account.jwt).nats.signing_keys).toMatchObject([
    { kind: 'user_scope', key: keyIn('subscribers.nk').getPublicKey(), template: { pub: { deny: ['>'] } } },
  ]);
});

it('keeps what it has made, and keeps it from other users', async () => {
  const made = await make();
  const files = () => readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mtimeMs]);
  const before = files();
  expect(await make()).toEqual(made);
  expect(files()).toEqual(before);
  expect(readdirSync(folder).filter((name) => (statSync(join(folder, name)).mode & 0o077) !== 0)).toEqual([]);
});
