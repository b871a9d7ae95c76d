/**
 * Alto's services as they are built, each a process of its own, on a NATS that enforces the permissions of production
 * and on databases of their own: all of Alto but the agent, PostgreSQL's and HAProxy's part in it. It starts in a few
 * seconds, and each service can be started any number of times.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsPermissions, newId, type ServiceName } from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import { prepareAlto } from './alto';
import { eventually } from './eventually';
import { freePort } from './free-ports';
import { currentTestFailed, keepLog } from './kept-log';
import { type NatsServer, startNats } from './nats';
import { createDatabase, type TestDatabase } from './shared-postgres';

export interface ServicesOptions {
  readonly services: readonly ServiceName[];
  /** Settings of all services, by the names of their environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

const startWithinMs = 60_000;

/** Builds what has changed, starts the services and waits until each is ready and its operations have routes. */
export async function startServices(options: ServicesOptions): Promise<TestServices> {
  const { settings } = await prepareAlto();
  const nats = await startNats({ secured: true, binary: settings['ALTO_NATS_SERVER'] });
  const services = new TestServices(nats, settings, options.env ?? {});
  // A test run that is broken off must not leave processes behind.
  process.once('exit', () => services.killAll());
  try {
    await Promise.all(options.services.map((service) => services.start(service)));
    await services.routed(options.services);
  } catch (error) {
    await services.stop({ failed: true });
    throw error;
  }
  return services;
}

export interface ServiceProcess {
  readonly service: ServiceName;
  readonly url: string;
  readonly pid: number;
  readonly databaseUrl: string;
  readonly stateDirectory: string;
}

export class TestServices {
  /** API key of the first operator. */
  readonly operatorKey = `alto_${newId('key').slice('key_'.length)}_${randomBytes(32).toString('hex')}`;
  readonly processes: ServiceProcess[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'alto-services-'));
  private readonly children: { child: ChildProcess; logFile: string; name: string }[] = [];
  private readonly databases = new Map<ServiceName, TestDatabase>();
  private readonly signing = generateKeyPairSync('ed25519');

  constructor(
    readonly nats: NatsServer,
    private readonly prepared: Readonly<Record<string, string>>,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    const [id = ''] = this.operatorKey.slice('alto_'.length).split('_');
    const hash = createHash('sha256').update(this.operatorKey, 'utf8').digest('hex');
    this.write('admin.key.sha256', `${id} ${hash}\n`);
    this.write('caller.key', this.signing.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    this.write('master.key', `${randomBytes(32).toString('base64')}\n`);
  }

  /** Of the first gateway. */
  get apiUrl(): string {
    return this.processOf('gateway').url;
  }

  /** As the operator. */
  get client(): AltoClient {
    return new AltoClient({ baseUrl: this.apiUrl, apiKey: this.operatorKey });
  }

  processOf(service: ServiceName): ServiceProcess {
    const found = this.processes.find((one) => one.service === service);
    if (found === undefined) throw new Error(`${service} was not started: name it in startServices`);
    return found;
  }

  /** One more instance of a service. @returns once it is ready */
  async start(service: ServiceName): Promise<ServiceProcess> {
    const instance = `${service}-${this.processes.filter((one) => one.service === service).length}`;
    const port = await freePort();
    const stateDirectory = join(this.folder, instance);
    mkdirSync(stateDirectory);
    const database = await this.databaseOf(service);
    const env = await this.environmentOf(service, { instance, port, stateDirectory, databaseUrl: database.url });
    const logFile = join(this.folder, `${instance}.log`);
    const log = openSync(logFile, 'a');
    const child = spawn(process.execPath, [this.releaseOf(service)], {
      env,
      cwd: stateDirectory,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.children.push({ child, logFile, name: instance });
    const started = {
      service,
      url: `http://127.0.0.1:${port}`,
      pid: child.pid ?? 0,
      databaseUrl: database.url,
      stateDirectory,
    };
    this.processes.push(started);
    await eventually(
      async () => {
        if (child.exitCode !== null) return;
        if (!(await fetch(`${started.url}/readyz`)).ok) throw new Error(`${instance} is not ready`);
      },
      { withinMs: startWithinMs, everyMs: 100 },
    );
    if (child.exitCode !== null) throw new Error(`${instance} ended at its start:\n${readFileSync(logFile, 'utf8')}`);
    return started;
  }

  /** Until the gateway has learned the services. */
  async routed(services: readonly ServiceName[]): Promise<void> {
    await eventually(
      async () => {
        const response = await fetch(`${this.apiUrl}/v1/services`, {
          headers: { authorization: `Bearer ${this.operatorKey}` },
        });
        const { items } = (await response.json()) as { items: { service: ServiceName; state: string }[] };
        const available = new Set(items.filter(({ state }) => state === 'available').map(({ service }) => service));
        const missing = services.filter((service) => !available.has(service));
        if (missing.length > 0) throw new Error(`The gateway has not learned of ${missing.join(', ')}.`);
      },
      { withinMs: startWithinMs, everyMs: 100 },
    );
  }

  /** All that the services have logged. */
  logs(): string {
    return this.children.map(({ logFile }) => readFileSync(logFile, 'utf8')).join('\n');
  }

  async stop({ failed = currentTestFailed() }: { failed?: boolean } = {}): Promise<void> {
    await Promise.all(this.children.map(({ child }) => end(child)));
    if (failed) for (const { logFile, name } of this.children) keepLog(logFile, name);
    for (const database of this.databases.values()) await database.drop();
    await this.nats.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  killAll(): void {
    for (const { child } of this.children) child.kill('SIGKILL');
  }

  private async databaseOf(service: ServiceName): Promise<TestDatabase> {
    const known = this.databases.get(service);
    if (known !== undefined) return known;
    // Empty: the service migrates it.
    const made = await createDatabase({ name: service, migrations: [] });
    this.databases.set(service, made);
    return made;
  }

  private async environmentOf(
    service: ServiceName,
    at: { instance: string; port: number; stateDirectory: string; databaseUrl: string },
  ): Promise<Record<string, string>> {
    const { PATH = '', TMPDIR = tmpdir() } = process.env;
    return {
      PATH,
      TMPDIR,
      NODE_COMPILE_CACHE: join(tmpdir(), 'alto-test-compiled'),
      ALTO_SERVICE_INSTANCE: at.instance,
      ALTO_HTTP_PORT: String(at.port),
      ALTO_STATE_DIR: at.stateDirectory,
      ALTO_DATABASE_URL: at.databaseUrl,
      ALTO_DATABASE_POOL_MAX: '6',
      ALTO_NATS_URL: this.nats.url,
      ALTO_NATS_CREDS_FILE: await this.nats.credsFile(service, natsPermissions(service)),
      ALTO_CALLER_PUBLIC_KEYS: this.signing.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      ALTO_LAME_DUCK_MS: '0',
      ...(await this.ownEnvironment(service)),
      ...this.env,
    };
  }

  private async ownEnvironment(service: ServiceName): Promise<Record<string, string>> {
    if (service === 'compute') return { ALTO_MASTER_KEY_FILE: join(this.folder, 'master.key') };
    if (service === 'gateway') {
      return {
        ALTO_CALLER_SIGNING_KEY_FILE: join(this.folder, 'caller.key'),
        ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE: join(this.folder, 'admin.key.sha256'),
        ...(await this.nats.subscriberSettings()),
      };
    }
    if (service === 'load-balancer')
      return { ALTO_HAPROXY_COMMAND: this.prepared['ALTO_HAPROXY_COMMAND'] ?? 'haproxy' };
    return {};
  }

  private releaseOf(service: ServiceName): string {
    const folder = join(this.prepared['ALTO_RELEASES_SOURCE'] ?? '', service);
    return join(folder, readFileSync(join(folder, 'current'), 'utf8').trim(), 'main.mjs');
  }

  private write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text, { mode: 0o600 });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  const impatience = setTimeout(() => child.kill('SIGKILL'), 10_000);
  child.kill('SIGTERM');
  await exited;
  clearTimeout(impatience);
}
