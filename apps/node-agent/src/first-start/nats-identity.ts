/**
 * Who may connect to NATS: an operator that vouches for accounts, one account for Alto, and in it one user for each
 * service with the permissions that the contracts give it. NATS checks signatures alone, so no list of users exists
 * anywhere and a user is added without touching the server.
 */
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  type Account,
  createAccount,
  createOperator,
  createUser,
  decode,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  fromSeed,
  type KeyPair,
  newScopedSigner,
  parseCreds,
  type SigningKey,
  type User,
} from '@nats-io/jwt';
import { type NatsPermissions, natsPermissions, serviceNames, subscriberTemplate } from '@alto/contracts';
import { natsPingSettings } from '@alto/platform';
import { keptText, writeWhole } from './files';

/** Who connects: every service, and the agent of one node as that node's. */
export function natsUsers(node: string): ReadonlyMap<string, NatsPermissions> {
  return new Map(serviceNames.map((name) => [name, natsPermissions(name, name === 'node-agent' ? { node } : {})]));
}

export interface NatsIdentity {
  operatorJwt: string;
  systemAccount: { publicKey: string; jwt: string };
  account: { publicKey: string; jwt: string };
  /** Credentials file of each user. */
  credentialsFiles: ReadonlyMap<string, string>;
  /** Seed of the key with which the gateway signs in subscribers of events, and nobody else. */
  subscriberKeyFile: string;
}

const unlimited = -1;

/** Without these limits NATS gives the account no JetStream. */
const accountLimits: Account['limits'] = {
  subs: unlimited,
  data: unlimited,
  payload: unlimited,
  imports: unlimited,
  exports: unlimited,
  wildcards: true,
  conn: unlimited,
  leaf: unlimited,
  mem_storage: unlimited,
  disk_storage: unlimited,
  streams: unlimited,
  consumer: unlimited,
  max_ack_pending: unlimited,
};

const systemAccountLimits: Account['limits'] = {
  subs: unlimited,
  data: unlimited,
  payload: unlimited,
  imports: unlimited,
  exports: unlimited,
  wildcards: true,
  conn: unlimited,
  leaf: unlimited,
};

/** Makes what is missing in `directory`; a user whose permissions have changed is signed anew with the same key. */
export async function ensureNatsIdentity(
  directory: string,
  users: ReadonlyMap<string, NatsPermissions>,
): Promise<NatsIdentity> {
  const operator = await keptKey(join(directory, 'operator.nk'), createOperator);
  const system = await keptKey(join(directory, 'system.nk'), createAccount);
  const account = await keptKey(accountKeyFile(directory), createAccount);

  const operatorJwt = await keptText(join(directory, 'operator.jwt'), () =>
    encodeOperator('alto', operator, { system_account: system.getPublicKey() }),
  );
  const systemJwt = await keptText(join(directory, 'system.jwt'), () =>
    encodeAccount('SYS', system, { limits: systemAccountLimits }, { signer: operator }),
  );
  const subscriberKeyFile = join(directory, 'subscribers.nk');
  const subscribers = await keptKey(subscriberKeyFile, createAccount);
  const accountJwt = await ensureAccount(join(directory, 'account.jwt'), account, operator, signerOf(subscribers));

  const credentialsFiles = new Map<string, string>();
  for (const [name, permissions] of users) {
    const file = join(directory, `${name}.creds`);
    await ensureCredentials(file, name, account, permissions);
    credentialsFiles.set(name, file);
  }
  return {
    operatorJwt,
    systemAccount: { publicKey: system.getPublicKey(), jwt: systemJwt },
    account: { publicKey: account.getPublicKey(), jwt: accountJwt },
    credentialsFiles,
    subscriberKeyFile,
  };
}

function signerOf(key: KeyPair): SigningKey {
  const { role, ...template } = subscriberTemplate;
  return newScopedSigner(key, role, template);
}

/** Signed anew, with the same key, where it lets another signing key sign or the same one sign for something else. */
async function ensureAccount(file: string, account: KeyPair, operator: KeyPair, signer: SigningKey): Promise<string> {
  const wanted: Partial<Account> = { limits: accountLimits, signing_keys: [signer] };
  const present = existsSync(file) ? (await readFile(file, 'utf8')).trim() : undefined;
  if (present !== undefined && isDeepStrictEqual(decode<Account>(present).nats.signing_keys, wanted.signing_keys))
    return present;
  const jwt = await encodeAccount('ALTO', account, wanted, { signer: operator });
  await writeWhole(file, jwt);
  return jwt;
}

/** What signs users. */
export function accountKeyFile(directory: string): string {
  return join(directory, 'account.nk');
}

/** One more user of this account with a key of its own, for another machine. @returns a credentials file's content */
export async function makeCredentials(directory: string, name: string, permissions: NatsPermissions): Promise<string> {
  const account = await keptKey(accountKeyFile(directory), createAccount);
  return await signed(name, createUser(), account, permissions);
}

async function keptKey(file: string, make: () => KeyPair): Promise<KeyPair> {
  const seed = await keptText(file, () => new TextDecoder().decode(make().getSeed()));
  return fromSeed(new TextEncoder().encode(seed.trim()));
}

async function ensureCredentials(
  file: string,
  name: string,
  account: KeyPair,
  permissions: NatsPermissions,
): Promise<void> {
  const present = existsSync(file) ? await parseCreds(await readFile(file)) : undefined;
  if (present !== undefined && grants(present.jwt, permissions)) return;
  const key = present === undefined ? createUser() : fromSeed(new TextEncoder().encode(present.key));
  await writeWhole(file, await signed(name, key, account, permissions));
}

async function signed(name: string, key: KeyPair, account: KeyPair, permissions: NatsPermissions): Promise<string> {
  return new TextDecoder().decode(fmtCreds(await encodeUser(name, key, account, claimsOf(permissions)), key));
}

function claimsOf({ pub, sub, resp }: NatsPermissions): Partial<User> {
  return { pub: { ...pub }, sub: { ...sub }, resp: { ...resp } };
}

function grants(jwt: string, permissions: NatsPermissions): boolean {
  const { pub, sub, resp } = decode<User>(jwt).nats;
  return isDeepStrictEqual(JSON.parse(JSON.stringify({ pub, sub, resp })), claimsOf(permissions));
}

export interface NatsServerPlan {
  /** Address to listen on; loopback unless given. */
  host?: string;
  port: number;
  /** Folder of JetStream. */
  storeDirectory: string;
  identity: NatsIdentity;
}

/** The server's configuration file. */
export function natsConfiguration({ host = '127.0.0.1', port, storeDirectory, identity }: NatsServerPlan): string {
  const { operatorJwt, systemAccount, account } = identity;
  return `# Written by Alto at each start; changes made here are lost.
server_name: alto
listen: "${host.includes(':') ? `[${host}]` : host}:${port}"
max_payload: 1MB
max_connections: 1000
write_deadline: "10s"
# What is frozen keeps its place in its queue group, and is sent requests, until it is dropped.
${natsPingSettings}

operator: ${operatorJwt.trim()}
system_account: ${systemAccount.publicKey}
resolver: MEMORY
resolver_preload: {
  ${systemAccount.publicKey}: ${systemAccount.jwt.trim()}
  ${account.publicKey}: ${account.jwt.trim()}
}

jetstream: {
  store_dir: ${JSON.stringify(storeDirectory)}
  max_memory_store: 64MB
  max_file_store: 8GB
}
`;
}
