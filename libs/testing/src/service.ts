/**
 * One service of Alto in this process, whole: its HTTP host, its handlers on a real NATS, its database. A test calls it
 * as the gateway would, with tokens of its own making.
 *
 *   const service = await startTestService(searchService, { natsUrl: nats.url, databaseUrl: database.url });
 *   await service.call(searchOperations.documents.put, input, callerOf(project));
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Caller, newId, type Operation, type OutputOf, type RequestOf, type Role } from '@alto/contracts';
import {
  AltoClient,
  CallerTokenSigner,
  type CallTerms,
  createLog,
  loadConfig,
  NatsBus,
  type RunningService,
  type ServiceDefinition,
  startService,
} from '@alto/platform';

const keys = generateKeyPairSync('ed25519');
const signer = new CallerTokenSigner(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());

/** What `ALTO_CALLER_PUBLIC_KEYS` must be for a service to believe the tokens made here. */
export const testCallerPublicKeys = keys.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');

export interface TestProject {
  readonly id: string;
  readonly name: string;
}

/** A project that no other test knows. */
export function newTestProject(name = `p-${Math.random().toString(36).slice(2, 10)}`): TestProject {
  return { id: newId('project'), name };
}

/** A caller as the gateway would describe it: someone with this role, inside this project. */
export function callerOf(project: TestProject | null, role: Role = 'developer'): Caller {
  return { id: newId('key'), role, project: project?.id ?? null, projectName: project?.name ?? null };
}

/** The token that says so; send it in the header `Alto-Caller` of a streamed HTTP request. */
export function tokenOf(caller: Caller): string {
  return signer.sign(caller);
}

export interface TestServiceOptions {
  readonly natsUrl: string;
  /** For services with a database. */
  readonly databaseUrl?: string;
  /** Further settings, by the names of their environment variables. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface TestService extends RunningService {
  /** A folder of its own, gone after `stop()` unless given by the settings. */
  readonly stateDirectory: string;
  /** A client of its own connection, as another service has one. */
  readonly client: AltoClient;
  /** Calls an operation with the token of a caller, as the gateway does; without one as a service. */
  call<O extends Operation>(
    operation: O,
    input: RequestOf<O>,
    caller?: Caller,
    terms?: CallTerms,
  ): Promise<OutputOf<O>>;
}

export async function startTestService(
  definition: ServiceDefinition,
  options: TestServiceOptions,
): Promise<TestService> {
  const ownDirectory = mkdtempSync(join(tmpdir(), `alto-${definition.name}-`));
  const config = loadConfig(definition.config, {
    ALTO_NATS_URL: options.natsUrl,
    ...(options.databaseUrl !== undefined && { ALTO_DATABASE_URL: options.databaseUrl }),
    ALTO_STATE_DIR: ownDirectory,
    ALTO_CALLER_PUBLIC_KEYS: testCallerPublicKeys,
    ALTO_LAME_DUCK_MS: '0',
    ALTO_LOG_LEVEL: process.env['ALTO_TEST_LOG_LEVEL'] ?? 'silent',
    ...options.settings,
  });
  const service = await startService(definition, config);
  const bus = new NatsBus({ url: options.natsUrl, name: 'test', inboxPrefix: '_INBOX_test' }, silentLog());
  const client = new AltoClient(bus, silentLog());
  bus.start();
  return {
    ...service,
    stateDirectory: config.ALTO_STATE_DIR,
    client,
    call: (operation, input, caller, terms) =>
      client.call(operation, input, {
        ...(caller !== undefined && { callerToken: tokenOf(caller) }),
        ...(terms !== undefined && { terms }),
      }),
    stop: async () => {
      await service.stop();
      await bus.close();
      rmSync(ownDirectory, { recursive: true, force: true });
    },
  };
}

function silentLog() {
  return createLog({ level: 'silent', service: 'test', instance: 'test', version: '0' });
}
