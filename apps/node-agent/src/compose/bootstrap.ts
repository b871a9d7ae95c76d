/**
 * First start where somebody else starts the processes, as Docker does: `keys` makes what each container is handed,
 * `databases` what PostgreSQL holds. Both find what is there and make what is not, so they run at each `up`.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { newId, type ServiceName, serviceNames } from '@alto/contracts';
import { databaseName, type DatabaseGrant, ensureExternalDatabases, serviceUrl } from '../first-start/databases';
import { keptText, writeIfChanged } from '../first-start/files';
import { ensurePasswords, type Passwords } from '../first-start/first-start';
import { managedServices } from '../first-start/manifest';
import {
  ensureNatsIdentity,
  type NatsIdentity,
  natsConfiguration,
  natsUsers,
  type SubscriberKeys,
} from '../first-start/nats-identity';
import { ensureSecrets, type Secrets } from '../first-start/secrets';

const usage = `Usage: bootstrap keys|databases --keys FOLDER --handed FOLDER --postgres HOST:PORT

  keys        makes the keys of this Alto in --keys, and in --handed one folder for each container with what it may know
  databases   makes a database and a role for each service at --postgres
`;

/** Where containers find things, the same in each. */
const handedFolder = '/run/alto';
const natsPort = 4222;
const natsStore = '/data';
const natsAccounts = '/data/accounts';

export interface BootstrapPlan {
  /** Folder with all keys; no container but this one's sees it. */
  keys: string;
  /** Folder with one folder for each container, `nats` and `postgres` among them. */
  handed: string;
  /** `host:port` of PostgreSQL. */
  postgres: string;
}

/** @returns the exit code */
export async function runBootstrap(args: readonly string[]): Promise<number> {
  try {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        keys: { type: 'string', default: '/keys' },
        handed: { type: 'string', default: '/handed' },
        postgres: { type: 'string', default: 'postgres:5432' },
      },
    });
    const [action] = positionals;
    if (action === 'keys') await makeKeys(values);
    else if (action === 'databases') await makeDatabases(values);
    else throw new Error(usage);
    return 0;
  } catch (error) {
    process.stderr.write(`bootstrap: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

export async function makeKeys(plan: BootstrapPlan): Promise<void> {
  await mkdir(join(plan.keys, 'nats'), { recursive: true, mode: 0o700 });
  const secrets = await ensureSecrets(plan.keys);
  const passwords = await ensurePasswords(join(plan.keys, 'databases.json'));
  const node = (await keptText(join(plan.keys, 'node.id'), () => `${newId('node')}\n`)).trim();
  const identity = await ensureNatsIdentity(join(plan.keys, 'nats'), natsUsers(node));

  for (const service of serviceNames) await handToService(plan, service, { secrets, passwords, identity, node });
  await hand(plan, 'postgres', 'password', passwords.superuser);
  const listen = { host: '0.0.0.0', port: natsPort, storeDirectory: natsStore, accountsDirectory: natsAccounts };
  await hand(plan, 'nats', 'nats.conf', natsConfiguration({ ...listen, identity }));
}

export async function makeDatabases(plan: BootstrapPlan): Promise<void> {
  const passwords = await ensurePasswords(join(plan.keys, 'databases.json'));
  const grants = managedServices.map((service) => grantOf(service, passwords));
  await ensureExternalDatabases(adminUrl(plan, passwords), grants);
}

interface Made {
  secrets: Secrets;
  passwords: Passwords;
  identity: NatsIdentity;
  /** Id of the one node that the containers are. */
  node: string;
}

async function handToService(plan: BootstrapPlan, service: ServiceName, made: Made): Promise<void> {
  const { secrets, passwords, identity, node } = made;
  const environment: Record<string, string> = {
    ALTO_NATS_CREDS_FILE: join(handedFolder, 'nats.creds'),
    ALTO_CALLER_PUBLIC_KEYS: secrets.callerPublicKey,
  };
  await handCopy(plan, service, 'nats.creds', identity.credentialsFiles.get(service) ?? '');
  if (service === 'node-agent') environment.ALTO_NODE_ID = node;
  else {
    environment.ALTO_DATABASE_URL = serviceUrl(adminUrl(plan, passwords), grantOf(service, passwords));
  }
  // The one seals apps' secrets, the other opens them for a process.
  if (service === 'compute' || service === 'node-agent') {
    await handCopy(plan, service, 'master.key', secrets.masterKeyFile);
    environment.ALTO_MASTER_KEY_FILE = join(handedFolder, 'master.key');
  }
  if (service === 'gateway') {
    await handCopy(plan, service, 'caller.key', secrets.callerKeyFile);
    await handCopy(plan, service, 'admin.key.sha256', secrets.adminKeyHashFile);
    Object.assign(environment, await handSubscriberKeys(plan, service, identity.subscribers));
    environment.ALTO_CALLER_SIGNING_KEY_FILE = join(handedFolder, 'caller.key');
    environment.ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE = join(handedFolder, 'admin.key.sha256');
  }
  const lines = Object.entries(environment).map(([name, value]) => `${name}="${value}"\n`);
  await hand(plan, service, 'service.env', lines.join(''));
}

async function handSubscriberKeys(
  plan: BootstrapPlan,
  service: ServiceName,
  { account, keyFile, accountKeyFile, systemCredsFile }: SubscriberKeys,
): Promise<Record<string, string>> {
  await handCopy(plan, service, 'subscribers.nk', keyFile);
  await handCopy(plan, service, 'accounts.nk', accountKeyFile);
  await handCopy(plan, service, 'system.creds', systemCredsFile);
  return {
    ALTO_NATS_SUBSCRIBER_ACCOUNT: account,
    ALTO_NATS_SUBSCRIBER_KEY_FILE: join(handedFolder, 'subscribers.nk'),
    ALTO_NATS_ACCOUNT_KEY_FILE: join(handedFolder, 'accounts.nk'),
    ALTO_NATS_SYSTEM_CREDS_FILE: join(handedFolder, 'system.creds'),
  };
}

async function hand(plan: BootstrapPlan, container: string, name: string, content: string): Promise<void> {
  await mkdir(join(plan.handed, container), { recursive: true });
  await writeIfChanged(join(plan.handed, container, name), content);
}

async function handCopy(plan: BootstrapPlan, container: string, name: string, from: string): Promise<void> {
  await hand(plan, container, name, await readFile(from, 'utf8'));
}

function grantOf(service: ServiceName, { services }: Passwords): DatabaseGrant {
  const password = services.get(service);
  if (password === undefined) throw new Error(`There is no password for the database of ${service}.`);
  return { service, name: databaseName(service), password };
}

function adminUrl({ postgres }: BootstrapPlan, { superuser }: Passwords): string {
  return `postgresql://postgres:${superuser}@${postgres}/postgres`;
}
