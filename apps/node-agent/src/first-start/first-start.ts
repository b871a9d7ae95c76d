/**
 * Each step finds what is there and makes what is not, and nothing is in its place before it is whole. So first start
 * can be killed at any point and resumes; run again on an unchanged installation it changes nothing and gives the same
 * manifest to the byte.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { newId, type ServiceName } from '@alto/contracts';
import type { DataDirectory } from '../data-directory';
import type { StaticManifest } from '../workloads/workload';
import {
  databaseName,
  type DatabaseGrant,
  ensureDatabases,
  ensureExternalDatabases,
  serviceUrl,
  socketUrl,
} from './databases';
import { keptText, writeIfChanged, writeWhole } from './files';
import { managedServices, type ManifestPlan, privatePortCount, staticManifest } from './manifest';
import { ensureNatsIdentity, natsConfiguration, type NatsIdentity, natsUsers } from './nats-identity';
import { freePortBlock, takenPorts } from './ports';
import { ensureCluster, postgresCommand, type PostgresPlan, withServer } from './postgres';
import { forgetUninstalled, type ReleaseChoice, Releases } from './releases';
import { ensureRuntime, type RuntimePrograms } from './runtime';
import { ensureSecrets, makePassword, type Secrets } from './secrets';
import type { FirstStartSettings } from './settings';
import { ensurePostgresUser, requireReachable } from './system-user';

/** Tells what first start is doing, in words for people, e.g. `('keys', 'making the master key')`. */
export type ReportProgress = (step: string, message: string) => void;

/** @throws Error whose message says what is wrong and what to do. */
export type FirstStart = (
  directory: DataDirectory,
  report: ReportProgress,
  choice?: ReleaseChoice,
) => Promise<StaticManifest>;

export function makeFirstStart(settings: FirstStartSettings): FirstStart {
  return async (directory, report, choice) => {
    directory.create();
    const installation = await ensureInstallation(directory, settings);
    report('ports', 'checking that the public ports are free');
    await requirePorts(directory, settings);
    report('keys', 'making or reading keys and credentials');
    const secrets = await ensureSecrets(directory.keys);
    const identity = await ensureIdentity(directory, installation);
    report('runtime', 'installing Node, PostgreSQL, NATS and HAProxy');
    const programs = await installPrograms(directory, settings);
    report('releases', 'installing the services');
    const store = new Releases(directory.releases, settings.ALTO_RELEASES_SOURCE);
    const releases = await store.ensure(managedServices, choice);
    await forgetUninstalled(join(directory.runtime, 'compiled'), directory.releases, managedServices);
    report('database', 'preparing PostgreSQL and the databases');
    const databases = await ensureDatabaseServer(directory, settings, programs);
    report('nats', 'writing the configuration of NATS');
    const natsFile = await writeNatsConfiguration(directory, settings, installation, identity);

    const services = managedServices.map((name) => {
      const { version, directory: release } = present(releases, name);
      const stateDirectory = directory.service(name);
      mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
      const credentialsFile = present(identity.credentialsFiles, name);
      const compileCache = join(directory.runtime, 'compiled', name, version);
      const databaseUrl = present(databases.urls, name);
      return { name, version, release, stateDirectory, compileCache, credentialsFile, databaseUrl };
    });
    return staticManifest({
      ...installation,
      node: programs.node,
      postgres: databases.postgres,
      nats: {
        program: programs.natsServer,
        configurationFile: natsFile,
        directory: directory.nats,
        port: installation.servicePortFirst,
      },
      haproxy: proxyPlan(directory, programs),
      services,
      ports: { api: settings.ALTO_API_PORT, apps: settings.ALTO_APPS_PORT, s3: settings.ALTO_S3_PORT },
      publicHost: settings.ALTO_PUBLIC_HOST,
      privateHost: settings.ALTO_PRIVATE_HOST,
      gateway: gatewayPlan(directory, secrets, identity),
      callerPublicKey: secrets.callerPublicKey,
      masterKeyFile: secrets.masterKeyFile,
      agentCredentialsFile: present(identity.credentialsFiles, 'node-agent'),
      environment: settings.ALTO_SERVICE_ENV,
    });
  };
}

/** What was decided at the very first start and stays. */
interface Installation {
  nodeId: string;
  servicePortFirst: number;
}

async function ensureInstallation(directory: DataDirectory, settings: FirstStartSettings): Promise<Installation> {
  const text = await keptText(join(directory.state, 'installation.json'), async () => {
    const servicePortFirst = await freePortBlock(settings.ALTO_SERVICE_PORT_FIRST, privatePortCount);
    return `${JSON.stringify({ version: 1, nodeId: newId('node'), servicePortFirst }, null, 2)}\n`;
  });
  const { nodeId, servicePortFirst } = JSON.parse(text) as Installation;
  return { nodeId, servicePortFirst };
}

async function requirePorts(directory: DataDirectory, settings: FirstStartSettings): Promise<void> {
  const ports = [
    { port: settings.ALTO_API_PORT, purpose: 'the API', setting: 'ALTO_API_PORT' },
    { port: settings.ALTO_APPS_PORT, purpose: 'apps', setting: 'ALTO_APPS_PORT' },
    { port: settings.ALTO_S3_PORT, purpose: 'S3', setting: 'ALTO_S3_PORT' },
  ];
  // A proxy that an earlier agent left running is adopted, not in the way.
  const isOurs = ({ command }: { command: string }) => command.includes(proxyConfiguration(directory));
  const problems = await takenPorts(settings.ALTO_PUBLIC_HOST, ports, isOurs);
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

async function ensureIdentity(directory: DataDirectory, { nodeId }: Installation): Promise<NatsIdentity> {
  const folder = join(directory.keys, 'nats');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return await ensureNatsIdentity(folder, natsUsers(nodeId));
}

async function installPrograms(directory: DataDirectory, settings: FirstStartSettings): Promise<RuntimePrograms> {
  const sources = {
    node: process.execPath,
    nodeVersion: process.versions.node,
    postgres: settings.ALTO_POSTGRES_SOURCE,
    natsServer: settings.ALTO_NATS_SERVER,
    haproxy: settings.ALTO_HAPROXY_COMMAND,
    searchPath: settings.PATH,
  };
  return await ensureRuntime(directory.runtime, sources, needsOwnPostgres(settings));
}

/** Services for which the user has not named a database. */
function servicesWithoutDatabase(settings: FirstStartSettings): ServiceName[] {
  return managedServices.filter((name) => ownDatabaseUrl(settings, name) === undefined);
}

function needsOwnPostgres(settings: FirstStartSettings): boolean {
  return settings.ALTO_DATABASE_URL === undefined && servicesWithoutDatabase(settings).length > 0;
}

function ownDatabaseUrl(settings: FirstStartSettings, service: ServiceName): string | undefined {
  const setting = `ALTO_${databaseName(service).toUpperCase()}_DATABASE_URL`;
  return settings[setting as keyof FirstStartSettings] as string | undefined;
}

interface DatabaseServer {
  postgres: ManifestPlan['postgres'];
  urls: ReadonlyMap<string, string>;
}

async function ensureDatabaseServer(
  directory: DataDirectory,
  settings: FirstStartSettings,
  programs: RuntimePrograms,
): Promise<DatabaseServer> {
  const urls = new Map<string, string>(managedServices.map((name) => [name, ownDatabaseUrl(settings, name) ?? '']));
  const passwords = await ensurePasswords(join(directory.keys, 'databases.json'));
  const grants = servicesWithoutDatabase(settings).map((service): DatabaseGrant => ({
    service,
    name: databaseName(service),
    password: present(passwords.services, service),
  }));
  const adminUrl = settings.ALTO_DATABASE_URL;
  if (adminUrl !== undefined) {
    await ensureExternalDatabases(adminUrl, grants);
    for (const grant of grants) urls.set(grant.service, serviceUrl(adminUrl, grant));
  }
  if (programs.postgres === undefined) return { postgres: undefined, urls };

  const plan = await postgresPlan(directory, programs.postgres, passwords.superuser);
  await ensureCluster(plan);
  await ensureEmbeddedDatabases(directory, plan, grants);
  for (const grant of grants) urls.set(grant.service, socketUrl(plan.socketDirectory, grant));
  const socketPath = join(plan.socketDirectory, '.s.PGSQL.5432');
  return { urls, postgres: { command: postgresCommand(plan), directory: plan.directory, socketPath, user: plan.user } };
}

/** The server is started for this at the first start alone: what has been made is written down. */
async function ensureEmbeddedDatabases(
  directory: DataDirectory,
  plan: PostgresPlan,
  grants: readonly DatabaseGrant[],
): Promise<void> {
  const record = join(directory.state, 'databases.json');
  const made = new Set(JSON.parse(await keptText(record, () => '[]\n')) as string[]);
  const missing = grants.filter(({ name }) => !made.has(name));
  if (missing.length === 0) return;
  await withServer(plan, async (client) => await ensureDatabases(client, missing));
  await writeWhole(record, `${JSON.stringify([...made, ...missing.map(({ name }) => name)].sort())}\n`);
}

async function postgresPlan(
  directory: DataDirectory,
  programs: string,
  superuserPassword: string,
): Promise<PostgresPlan> {
  const user = await ensurePostgresUser();
  const socketDirectory = socketFolder(directory, 'postgres');
  if (user !== undefined) {
    for (const path of [directory.postgres, socketDirectory, programs]) await requireReachable(path, user);
  }
  return { programs, directory: directory.postgres, socketDirectory, user, superuserPassword };
}

/** A folder for the sockets of one server, with room for the longer names under which HAProxy first makes them. */
function socketFolder(directory: DataDirectory, name: string): string {
  const folder = dirname(directory.socket(join(name, 'x'.repeat(24))));
  requirePrivateFolder(dirname(folder));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** The short folder for sockets lies in a place where anybody can make folders: it must be ours. */
function requirePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  const found = lstatSync(folder);
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return;
  throw new Error(`${folder} is not a private folder of this user: remove it, or choose a shorter ALTO_DATA_DIR.`);
}

export interface Passwords {
  superuser: string;
  services: ReadonlyMap<string, string>;
}

export async function ensurePasswords(file: string): Promise<Passwords> {
  const present = JSON.parse(await keptText(file, () => '{}\n')) as Record<string, string>;
  const complete: Record<string, string> = { superuser: present.superuser ?? makePassword() };
  for (const name of managedServices) complete[name] = present[name] ?? makePassword();
  await writeIfChanged(file, `${JSON.stringify({ ...present, ...complete }, null, 2)}\n`);
  return { superuser: complete.superuser ?? '', services: new Map(Object.entries(complete)) };
}

async function writeNatsConfiguration(
  directory: DataDirectory,
  { ALTO_PRIVATE_HOST: host }: FirstStartSettings,
  { servicePortFirst }: Installation,
  identity: NatsIdentity,
): Promise<string> {
  const file = join(directory.nats, 'nats.conf');
  const storeDirectory = join(directory.nats, 'jetstream');
  const accountsDirectory = join(directory.nats, 'accounts');
  const plan = { host, port: servicePortFirst, storeDirectory, accountsDirectory, identity };
  await writeIfChanged(file, natsConfiguration(plan));
  return file;
}

const proxyConfiguration = (directory: DataDirectory) => join(directory.haproxy, 'haproxy.cfg');

function proxyPlan(directory: DataDirectory, programs: RuntimePrograms): ManifestPlan['haproxy'] {
  return {
    program: programs.haproxy,
    configurationFile: proxyConfiguration(directory),
    directory: directory.haproxy,
    runDirectory: socketFolder(directory, 'haproxy'),
  };
}

function gatewayPlan(directory: DataDirectory, secrets: Secrets, identity: NatsIdentity): ManifestPlan['gateway'] {
  return {
    // One of its own for each: an instance that ends takes its socket with it.
    socketPaths: (slot) => directory.socket(`gateway-${slot}.sock`),
    callerKeyFile: secrets.callerKeyFile,
    adminKeyHashFile: secrets.adminKeyHashFile,
    subscribers: identity.subscribers,
  };
}

function present<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key);
  if (value === undefined) throw new Error(`First start has made nothing for ${String(key)}.`);
  return value;
}
