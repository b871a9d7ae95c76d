/**
 * A real nats-server for tests: random port, JetStream on, its own folder. It can be killed, paused, resumed and
 * started again on the same port and store. In secured mode it runs as in production: operator mode, one account,
 * a user with credentials and permissions for each name asked for.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportedEvents, subscriberAccount, subscriberKeeperPermissions, subscriberTemplate } from '@alto/contracts';
import { encodeAccount, encodeOperator, encodeUser, fmtCreds, newScopedSigner, type Permissions } from '@nats-io/jwt';
import { createAccount, createOperator, createUser, type KeyPair } from '@nats-io/nkeys';
import { freePort } from './free-ports';
import { currentTestFailed, keepLog } from './kept-log';

export interface NatsOptions {
  /** Operator mode: a connection needs credentials, see {@link NatsServer.credsFile}. */
  readonly secured?: boolean;
  /** More lines of nats-server configuration. */
  readonly config?: string;
  /** Binary to run; the one on PATH unless given. */
  readonly binary?: string;
}

/** Everything needed to be a server of one operator with one account for services and one for subscribers. */
interface Authority {
  readonly system: KeyPair;
  readonly account: KeyPair;
  readonly subscriberAccount: KeyPair;
  /** Signs subscribers of events. */
  readonly subscribers: KeyPair;
  /** Vouches for accounts. */
  readonly voucher: KeyPair;
  readonly config: string;
}

const readyWithinMs = 60_000;

/** Starts a server and waits until it answers. @throws Error with the server's log when it does not. */
export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'alto-nats-'));
  const authority = options.secured === true ? await createAuthority(join(folder, 'accounts')) : undefined;
  const server = new NatsServer(folder, await freePort(), options, authority);
  try {
    await server.start();
  } catch (error) {
    await server.discard();
    throw error;
  }
  return server;
}

export class NatsServer {
  readonly folder: string;
  readonly port: number;
  private readonly options: NatsOptions;
  private readonly authority: Authority | undefined;
  private child: ChildProcess | undefined;
  private expectedExit = false;
  private crashed = false;
  private watchdog: ChildProcess | undefined;

  constructor(folder: string, port: number, options: NatsOptions, authority: Authority | undefined) {
    this.folder = folder;
    this.port = port;
    this.options = options;
    this.authority = authority;
    mkdirSync(this.storeFolder, { recursive: true });
    writeFileSync(this.configFile, this.configText());
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** JetStream's folder: copy and put back what is in it only while the server is down. */
  get storeFolder(): string {
    return join(this.folder, 'store');
  }

  /** Where a secured server keeps its accounts: what they were given while it ran outlives a restart. */
  get accountsFolder(): string {
    return join(this.folder, 'accounts');
  }

  get logFile(): string {
    return join(this.folder, 'server.log');
  }

  private get configFile(): string {
    return join(this.folder, 'server.conf');
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  async start(): Promise<void> {
    if (this.child !== undefined) return;
    this.expectedExit = false;
    const logFile = openSync(this.logFile, 'a');
    const child = spawn(this.options.binary ?? 'nats-server', ['-c', this.configFile], {
      stdio: ['ignore', logFile, logFile],
    });
    closeSync(logFile);
    this.child = child;
    if (child.pid !== undefined) this.watchdog = startWatchdog(child.pid, this.folder);
    child.once('error', (error) => {
      writeFileSync(this.logFile, `${String(error)}\n`, { flag: 'a' });
      if (child.pid === undefined) this.child = undefined;
    });
    child.once('exit', () => {
      this.watchdog?.kill('SIGKILL');
      if (this.child === child) this.child = undefined;
      if (!this.expectedExit) this.crashed = true;
    });
    await this.ready();
  }

  /** SIGKILL: nothing is flushed, the store stays as the kernel has it. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** SIGTERM, and waits for the exit. The folder stays: `start()` brings it back on the same port and store. */
  async shutDown(): Promise<void> {
    await this.end('SIGTERM');
  }

  async restart(): Promise<void> {
    await this.shutDown();
    await this.start();
  }

  /** The server keeps its connections and answers nothing, as in a long garbage collection or a frozen machine. */
  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  /** Ends the server and removes its folder. The log stays, and is named, when a test failed or the server crashed. */
  async stop(): Promise<void> {
    if (this.crashed || currentTestFailed()) keepLog(this.logFile, `nats-${this.port}`);
    await this.discard();
  }

  /** Ends the server and removes its folder, log and all. */
  async discard(): Promise<void> {
    this.resume();
    await this.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /**
   * Credentials of a user of the account, e.g. `credsFile('compute', natsPermissions('compute'))`.
   * @param name becomes the name in the user's JWT.
   * @returns path of the file.
   */
  async credsFile(name: string, permissions: Permissions = {}, file: string = name): Promise<string> {
    return this.writeSecret(`${file}.creds`, await createCreds(name, this.requireAuthority().account, permissions));
  }

  /** The seed of the key that signs subscribers of events, as the gateway has it. @returns path of the file */
  subscriberKeyFile(): string {
    return this.writeSecret('subscribers.nk', this.requireAuthority().subscribers.getSeed());
  }

  /** What a gateway is given to sign in subscribers and to end them. */
  async subscriberSettings(): Promise<Record<string, string>> {
    const { system, subscriberAccount: account, voucher } = this.requireAuthority();
    const creds = await createCreds('gateway', system, subscriberKeeperPermissions(account.getPublicKey()));
    return {
      ALTO_NATS_SUBSCRIBER_ACCOUNT: account.getPublicKey(),
      ALTO_NATS_SUBSCRIBER_KEY_FILE: this.subscriberKeyFile(),
      ALTO_NATS_ACCOUNT_KEY_FILE: this.writeSecret('accounts.nk', voucher.getSeed()),
      ALTO_NATS_SYSTEM_CREDS_FILE: this.writeSecret('system.creds', creds),
    };
  }

  /** Credentials that look right and were issued by an account that this server does not know. */
  async foreignCredsFile(name: string): Promise<string> {
    return this.writeSecret(`foreign-${name}.creds`, await createCreds(name, createAccount(), {}));
  }

  private requireAuthority(): Authority {
    if (this.authority === undefined) throw new Error('Credentials need a server started with { secured: true }.');
    return this.authority;
  }

  private writeSecret(name: string, content: Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (child === undefined || child.pid === undefined) return;
    this.expectedExit = true;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + readyWithinMs;
    while (!(await answers(this.port))) {
      if (this.child === undefined || Date.now() > deadline) {
        throw new Error(`nats-server on port ${this.port} did not start; its log:\n${this.log()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  private configText(): string {
    return `
listen: 127.0.0.1:${this.port}
server_name: test-${this.port}
jetstream { store_dir: ${JSON.stringify(this.storeFolder)}, max_mem: 256MB, max_file: 1GB }
${this.authority?.config ?? ''}
${this.options.config ?? ''}
`;
  }
}

/** Like first start's, which is the node-agent's and tested there. */
async function createAuthority(accountsFolder: string): Promise<Authority> {
  const [operator, voucher] = [createOperator(), createOperator()];
  const [system, account, subscriberKeys, subscribers] = [
    createAccount(),
    createAccount(),
    createAccount(),
    createAccount(),
  ];
  const { role, ...template } = subscriberTemplate;
  const unlimited = { conn: -1, leaf: -1, data: -1, payload: -1, subs: -1, imports: -1, exports: -1, wildcards: true };
  const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const operatorJwt = await encodeOperator('alto-test', operator, {
    system_account: system.getPublicKey(),
    signing_keys: [voucher.getPublicKey()],
  });
  const signer = { signer: operator };
  const services = { limits: { ...unlimited, ...jetStream }, exports: [exportedEvents] };
  const ofSubscribers = {
    ...subscriberAccount(account.getPublicKey()),
    signing_keys: [newScopedSigner(subscribers, role, template)],
  };
  const config = `
operator: ${operatorJwt}
system_account: ${system.getPublicKey()}
resolver: { type: full, dir: ${JSON.stringify(accountsFolder)}, allow_delete: false }
resolver_preload: {
  ${system.getPublicKey()}: ${await encodeAccount('SYS', system, { limits: unlimited }, signer)}
  ${account.getPublicKey()}: ${await encodeAccount('ALTO', account, services, signer)}
  ${subscriberKeys.getPublicKey()}: ${await encodeAccount('SUBSCRIBERS', subscriberKeys, ofSubscribers, signer)}
}
`;
  return { system, account, subscriberAccount: subscriberKeys, subscribers, voucher, config };
}

async function createCreds(name: string, account: KeyPair, permissions: Permissions): Promise<Uint8Array> {
  const user = createUser();
  const jwt = await encodeUser(name, user, account, { ...permissions });
  return fmtCreds(jwt, user);
}

/**
 * Ends the server and removes its folder when the test process dies without doing so itself, by whatever signal: then
 * the pipe to the watchdog closes.
 */
function startWatchdog(serverPid: number, folder: string): ChildProcess {
  const script = 'read -r _; kill -9 "$0"; rm -rf "$1"';
  const watchdog = spawn('sh', ['-c', script, String(serverPid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watchdog.unref();
  (watchdog.stdin as Socket | null)?.unref();
  return watchdog;
}

/** The server greets with INFO as soon as it serves. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const finish = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.setTimeout(500, () => finish(false));
    socket.once('error', () => finish(false));
    socket.once('close', () => resolve(false));
    socket.once('data', () => finish(true));
  });
}
