/** Alto's own processes as static workloads. Pure: what runs follows from the plan alone. */
import { join } from 'node:path';
import { serviceNames, type ServiceName } from '@alto/contracts';
import type { ListeningSocket } from '../runtime/runtime';
import type { StaticManifest, StaticWorkload, WorkloadSlot } from '../workloads/workload';
import type { SubscriberKeys } from './nats-identity';

export interface ServicePlan {
  name: ServiceName;
  version: string;
  /** Folder of the release. */
  release: string;
  /** The service's own files. */
  stateDirectory: string;
  compileCache: string;
  credentialsFile: string;
  databaseUrl: string;
}

export interface ManifestPlan {
  node: string;
  nodeId: string;
  /** `undefined` where every service's database lies elsewhere. */
  postgres:
    | { command: readonly string[]; directory: string; socketPath: string; user?: { uid: number; gid: number } }
    | undefined;
  nats: { program: string; configurationFile: string; directory: string; port: number };
  haproxy: { program: string; configurationFile: string; directory: string; runDirectory: string };
  services: readonly ServicePlan[];
  ports: PublicPorts;
  /** First of the services' private ports. */
  servicePortFirst: number;
  publicHost: string;
  /** Where other machines reach NATS and storage. */
  privateHost: string;
  gateway: {
    socketPaths: (slot: number) => string;
    callerKeyFile: string;
    adminKeyHashFile: string;
    subscribers: SubscriberKeys;
  };
  callerPublicKey: string;
  masterKeyFile: string;
  agentCredentialsFile: string;
  /** Settings for every service, given by the user. */
  environment: Readonly<Record<string, string>>;
}

export interface PublicPorts {
  api: number;
  apps: number;
  s3: number;
}

/** The services that a manifest runs; the agent runs the manifest. */
export const managedServices = serviceNames.filter((name) => name !== 'node-agent');

/** As many instances as a service may be scaled to, and a place for one that replaces another. */
const slotsPerService = 10;

/** Ports of these slots lie next to each other for all services; those of the others, rarely used, behind them. */
const nearSlots = 2;
const farSlots = slotsPerService - nearSlots;

/** Private ports that one Alto uses on loopback: NATS and each service's slots. */
export const privatePortCount = 1 + serviceNames.length * slotsPerService;

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function staticManifest(plan: ManifestPlan): StaticManifest {
  return {
    workloads: [
      ...(plan.postgres === undefined ? [] : [postgres(plan.postgres)]),
      nats(plan),
      ...plan.services.map((service) => serviceWorkload(plan, service)),
      haproxy(plan),
    ],
    agent: {
      nodeId: plan.nodeId,
      natsUrl: natsUrl(plan),
      natsCredsFile: plan.agentCredentialsFile,
      callerPublicKeys: plan.callerPublicKey,
    },
  };
}

/** Of all slots of a service, e.g. 14101, 14102 and 14115 to 14122 for the gateway. */
export function servicePorts(first: number, service: ServiceName): number[] {
  const place = serviceNames.indexOf(service);
  const near = first + 1 + place * nearSlots;
  const far = first + 1 + serviceNames.length * nearSlots + place * farSlots;
  return Array.from({ length: slotsPerService }, (_, slot) =>
    slot < nearSlots ? near + slot : far + slot - nearSlots,
  );
}

function postgres(plan: NonNullable<ManifestPlan['postgres']>): StaticWorkload {
  return {
    id: 'postgres',
    kind: 'database',
    command: plan.command,
    env: { PATH: path, LC_ALL: 'C', TZ: 'UTC' },
    cwd: plan.directory,
    ...(plan.user !== undefined && { user: plan.user }),
    slots: [{ env: {}, ports: {} }],
    instances: 1,
    dependsOn: [],
    readiness: { kind: 'unix', socketPath: plan.socketPath },
    // Fast shutdown; what it asks of its clients is that they come back.
    stop: { signal: 'SIGINT', graceMs: 60_000 },
    restart: 'always',
    release: null,
  };
}

function nats({ nats: plan, privateHost }: ManifestPlan): StaticWorkload {
  return {
    id: 'nats',
    kind: 'bus',
    command: [plan.program, '--config', plan.configurationFile],
    env: { PATH: path, GOMEMLIMIT: '96MiB' },
    cwd: plan.directory,
    slots: [{ env: {}, ports: { client: plan.port } }],
    instances: 1,
    dependsOn: [],
    readiness: { kind: 'tcp', host: privateHost, port: plan.port },
    stop: { signal: 'SIGTERM', graceMs: 20_000 },
    restart: 'always',
    release: null,
  };
}

/** It serves from its last configuration whatever else is down, so it waits for that file and for nothing more. */
function haproxy({ haproxy: plan, ports, publicHost }: ManifestPlan): StaticWorkload {
  return {
    id: 'haproxy',
    kind: 'proxy',
    command: [
      plan.program,
      '-W',
      '-S',
      `${join(plan.runDirectory, 'master.sock')},mode,600`,
      '-f',
      plan.configurationFile,
    ],
    env: { PATH: path },
    cwd: plan.directory,
    slots: [{ env: {}, ports: { ...ports }, sockets: publicSockets(plan.configurationFile, publicHost, ports) }],
    instances: 1,
    dependsOn: [],
    needsFile: plan.configurationFile,
    // Connections to its ports are taken by the kernel, whether it is there or not.
    readiness: { kind: 'unix', socketPath: join(plan.runDirectory, 'admin.sock') },
    stop: { signal: 'SIGTERM', graceMs: 10_000 },
    restart: 'always',
    release: null,
    lock: 'haproxy',
  };
}

function publicSockets(namedIn: string, host: string, ports: PublicPorts): ListeningSocket[] {
  return Object.values(ports).map((port) => ({ variable: `ALTO_SOCKET_${port}`, namedIn, host, port }));
}

function serviceWorkload(plan: ManifestPlan, service: ServicePlan): StaticWorkload {
  const { name } = service;
  const ports = servicePorts(plan.servicePortFirst, name);
  return {
    id: name,
    kind: 'service',
    command: [plan.node, ...nodeFlags, join(service.release, 'main.mjs')],
    env: { ...defaults, ...plan.environment, ...commonEnvironment(plan, service), ...ownEnvironment(plan, service) },
    cwd: service.stateDirectory,
    slots: ports.map((port, slot) => serviceSlot(plan, name, port, slot)),
    instances: 1,
    // The load balancer starts from its disk while everything else is away.
    dependsOn: name === 'load-balancer' ? [] : [...(plan.postgres === undefined ? [] : ['postgres']), 'nats'],
    readiness: { kind: 'none' },
    stop: { signal: 'SIGTERM', graceMs: 35_000 },
    restart: 'always',
    release: { service: name, version: service.version },
  };
}

/** Nine instances of each service fit into the connections that PostgreSQL has. */
const defaults = { ALTO_DATABASE_POOL_MAX: '6' };

/**
 * What keeps an idle service small: a small young generation and few malloc arenas. Source maps would cost 100 MB in
 * each service that ever logs a stack; the bundles are not minified, so stacks can be read without.
 */
const nodeFlags = ['--max-semi-space-size=4', '--max-old-space-size=512'];

/**
 * One that is frozen does nothing until it is replaced: half a minute without a word, which is long enough for a machine
 * that has too much to do. NATS has given its share of requests to the others, and another holds its leases, before.
 */
const liveness = { intervalMs: 3_000, timeoutMs: 3_000, failuresMax: 5, graceMs: 2_000 };

function serviceSlot(plan: ManifestPlan, name: ServiceName, port: number, slot: number): WorkloadSlot {
  const url = `http://${inUrl(hostOf(plan, name))}:${port}`;
  return {
    env: {
      ALTO_SERVICE_INSTANCE: `${name}-${slot}`,
      ALTO_HTTP_PORT: String(port),
      ...(name === 'gateway' && { ALTO_HTTP_SOCKET: plan.gateway.socketPaths(slot) }),
    },
    ports: { http: port },
    readiness: { kind: 'http', url: `${url}/readyz` },
    liveness: { ...liveness, url: `${url}/healthz` },
  };
}

function commonEnvironment(plan: ManifestPlan, service: ServicePlan): Record<string, string> {
  return {
    NODE_ENV: 'production',
    PATH: path,
    TZ: 'UTC',
    MALLOC_ARENA_MAX: '2',
    // Compiled code from the start before: faster to start, and 8 MB smaller.
    NODE_COMPILE_CACHE: service.compileCache,
    ALTO_SERVICE_VERSION: service.version,
    ALTO_HTTP_HOST: hostOf(plan, service.name),
    ALTO_NATS_URL: natsUrl(plan),
    ALTO_NATS_CREDS_FILE: service.credentialsFile,
    ALTO_DATABASE_URL: service.databaseUrl,
    ALTO_STATE_DIR: service.stateDirectory,
    ALTO_CALLER_PUBLIC_KEYS: plan.callerPublicKey,
  };
}

/** What one service alone is told. */
function ownEnvironment(plan: ManifestPlan, { name }: ServicePlan): Record<string, string> {
  const targets = (service: ServiceName) =>
    servicePorts(plan.servicePortFirst, service)
      .map((port) => `${inUrl(hostOf(plan, service))}:${port}`)
      .join(',');
  if (name === 'gateway') {
    return {
      ALTO_CALLER_SIGNING_KEY_FILE: plan.gateway.callerKeyFile,
      ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE: plan.gateway.adminKeyHashFile,
      ALTO_NATS_SUBSCRIBER_ACCOUNT: plan.gateway.subscribers.account,
      ALTO_NATS_SUBSCRIBER_KEY_FILE: plan.gateway.subscribers.keyFile,
      ALTO_NATS_ACCOUNT_KEY_FILE: plan.gateway.subscribers.accountKeyFile,
      ALTO_NATS_SYSTEM_CREDS_FILE: plan.gateway.subscribers.systemCredsFile,
    };
  }
  if (name === 'compute') return { ALTO_MASTER_KEY_FILE: plan.masterKeyFile };
  if (name === 'load-balancer') {
    return {
      ALTO_GATEWAY_TARGETS: targets('gateway'),
      ALTO_STORAGE_TARGETS: targets('storage'),
      ALTO_PUBLIC_HOST: plan.publicHost,
      ALTO_API_PORT: String(plan.ports.api),
      ALTO_APPS_PORT: String(plan.ports.apps),
      ALTO_S3_PORT: String(plan.ports.s3),
      ALTO_HAPROXY_COMMAND: plan.haproxy.program,
      ALTO_HAPROXY_DIR: plan.haproxy.directory,
      ALTO_HAPROXY_RUN_DIR: plan.haproxy.runDirectory,
    };
  }
  return {};
}

const natsUrl = (plan: ManifestPlan) => `nats://${inUrl(plan.privateHost)}:${plan.nats.port}`;

/** Agents of other machines fetch bundles from storage; nothing else of the services concerns them. */
function hostOf({ privateHost }: ManifestPlan, service: ServiceName): string {
  return service === 'storage' ? privateHost : '127.0.0.1';
}

const inUrl = (host: string) => (host.includes(':') ? `[${host}]` : host);
