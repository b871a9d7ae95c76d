/**
 * Who may connect to NATS: an operator that vouches for accounts, one account for Alto's services, and in it one user
 * for each with the permissions that the contracts give it; and one account for subscribers of events. NATS checks
 * signatures alone, so no list of users exists anywhere and a user is added without touching the server. Those who are
 * refused although their signature is right, because their credentials were revoked, stand in the subscribers' account,
 * which the gateway replaces while NATS runs.
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
  type Operator,
  parseCreds,
  type User,
} from '@nats-io/jwt';
import {
  exportedEvents,
  type NatsPermissions,
  natsPermissions,
  serviceNames,
  subscriberAccount,
  subscriberKeeperPermissions,
  subscriberTemplate,
} from '@alto/contracts';
import { natsPingSettings } from '@alto/platform';
import { keptText, writeWhole } from './files';

/** Who connects: every service, and the agent of one node as that node's. */
export function natsUsers(node: string): ReadonlyMap<string, NatsPermissions> {
  return new Map(serviceNames.map((name) => [name, natsPermissions(name, name === 'node-agent' ? { node } : {})]));
}

export interface NatsIdentity {
  operatorJwt: string;
  systemAccount: SignedAccount;
  account: SignedAccount;
  subscriberAccount: SignedAccount;
  /** Credentials file of each user. */
  credentialsFiles: ReadonlyMap<string, string>;
  subscribers: SubscriberKeys;
}

interface SignedAccount {
  publicKey: string;
  jwt: string;
}

/** With these the gateway signs in subscribers of events and ends them; they are good for nothing else. */
export interface SubscriberKeys {
  /** Public key of the subscribers' account. */
  account: string;
  /** Seed of the key that signs subscribers. */
  keyFile: string;
  /** Seed of a key that vouches for accounts. NATS takes them from none but those whom its system account lets in. */
  accountKeyFile: string;
  /** Credentials in the system account that let nothing be replaced but the subscribers' account. */
  systemCredsFile: string;
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

  const voucherFile = join(directory, 'accounts.nk');
  const voucher = await keptKey(voucherFile, createOperator);
  const operatorClaims = { system_account: system.getPublicKey(), signing_keys: [voucher.getPublicKey()] };
  const operatorJwt = await ensureClaims<Operator>(join(directory, 'operator.jwt'), operatorClaims, () =>
    encodeOperator('alto', operator, operatorClaims),
  );
  const systemJwt = await keptText(join(directory, 'system.jwt'), () =>
    encodeAccount('SYS', system, { limits: systemAccountLimits }, { signer: operator }),
  );
  const accountClaims = { limits: accountLimits, exports: [exportedEvents] };
  const accountJwt = await ensureClaims<Account>(join(directory, 'account.jwt'), accountClaims, () =>
    encodeAccount('ALTO', account, accountClaims, { signer: operator }),
  );

  const credentialsFiles = new Map<string, string>();
  for (const [name, permissions] of users) {
    const file = join(directory, `${name}.creds`);
    await ensureCredentials(file, name, account, permissions);
    credentialsFiles.set(name, file);
  }
  const subscribers = await ensureSubscribers(directory, operator, system, account.getPublicKey());
  return {
    operatorJwt,
    systemAccount: { publicKey: system.getPublicKey(), jwt: systemJwt },
    account: { publicKey: account.getPublicKey(), jwt: accountJwt },
    subscriberAccount: { publicKey: subscribers.account, jwt: subscribers.jwt },
    credentialsFiles,
    subscribers: { ...subscribers.keys, account: subscribers.account, accountKeyFile: voucherFile },
  };
}

async function ensureSubscribers(directory: string, operator: KeyPair, system: KeyPair, services: string) {
  const account = await keptKey(join(directory, 'subscribers-account.nk'), createAccount);
  const keyFile = join(directory, 'subscribers.nk');
  const { role, ...template } = subscriberTemplate;
  const signer = newScopedSigner(await keptKey(keyFile, createAccount), role, template);
  const claims = { ...subscriberAccount(services), signing_keys: [signer] };
  const jwt = await ensureClaims<Account>(join(directory, 'subscribers-account.jwt'), claims, () =>
    encodeAccount('SUBSCRIBERS', account, claims, { signer: operator }),
  );
  const systemCredsFile = join(directory, 'gateway-system.creds');
  await ensureCredentials(systemCredsFile, 'gateway', system, subscriberKeeperPermissions(account.getPublicKey()));
  return { account: account.getPublicKey(), jwt, keys: { keyFile, systemCredsFile } };
}

/** Signed anew where it claims something else: NATS takes the newer of two. */
async function ensureClaims<C extends Account | Operator>(
  file: string,
  wanted: Partial<C>,
  sign: () => Promise<string>,
): Promise<string> {
  const present = existsSync(file) ? (await readFile(file, 'utf8')).trim() : undefined;
  if (present !== undefined && hasClaims(decode<C>(present).nats, wanted)) return present;
  const jwt = await sign();
  await writeWhole(file, jwt);
  return jwt;
}

function hasClaims(present: object, wanted: object): boolean {
  const held: Record<string, unknown> = { ...present };
  return Object.entries(wanted).every(([name, claim]) => isDeepStrictEqual(held[name], claim));
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
  /** Folder of the accounts as they are now: what they are given while NATS runs outlives a restart of it. */
  accountsDirectory: string;
  identity: NatsIdentity;
}

/**
 * The server's configuration file. An account that NATS holds already in its folder stays as it is there unless the
 * one given here was signed later.
 */
export function natsConfiguration(plan: NatsServerPlan): string {
  const { host = '127.0.0.1', port, storeDirectory, accountsDirectory, identity } = plan;
  const { operatorJwt, systemAccount, account, subscriberAccount: subscribers } = identity;
  const accounts = [systemAccount, account, subscribers].map(({ publicKey, jwt }) => `  ${publicKey}: ${jwt.trim()}`);
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
resolver: {
  type: full
  dir: ${JSON.stringify(accountsDirectory)}
  allow_delete: false
}
resolver_preload: {
${accounts.join('\n')}
}

jetstream: {
  store_dir: ${JSON.stringify(storeDirectory)}
  max_memory_store: 64MB
  max_file_store: 8GB
}
`;
}
