/** Whom the command talks to and as whom: options, then the environment, then the file of `alto login`, then this machine. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Operation, RequestOf } from '@alto/contracts';
import { AltoClient, type AltoClientOptions, type CallOptions, type UploadBody } from '@alto/sdk';
import { type Configuration, configurationPath, readConfiguration } from './configuration';
import { CommandError, exitCodes } from './failure';
import { LocalAgent } from './local/agent';
import { localFetch } from './local/fetch';

export interface GlobalOptions {
  url?: string;
  project?: string;
  dataDir?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

class InterruptibleClient extends AltoClient {
  constructor(
    options: AltoClientOptions,
    private readonly interrupted: AbortSignal,
  ) {
    super(options);
  }

  override async call<T extends Operation>(operation: T, input: RequestOf<T>, options?: CallOptions) {
    return await super.call(operation, input, { ...options, signal: this.interrupted });
  }

  override async upload<T extends Operation>(
    operation: T,
    input: RequestOf<T>,
    body: UploadBody,
    options?: CallOptions & { contentType?: string },
  ) {
    return await super.upload(operation, input, body, { ...options, signal: this.interrupted });
  }
}

const defaultUrl = 'http://127.0.0.1:4000';

export class Session {
  private options: GlobalOptions = {};
  /** What was logged in to, or named in the environment or by --url, does not count. */
  private onlyHere = false;

  constructor(readonly environment: Environment) {}

  /** The Alto of this machine as its operator, wherever else commands go; in its project `default` unless --project says. */
  ofThisMachine(): Session {
    const session = new Session(this.environment);
    session.options = this.options;
    session.onlyHere = true;
    return session;
  }

  /** Called once, before the command runs. */
  choose(options: GlobalOptions): void {
    this.options = options;
  }

  /** Folder of the Alto on this machine. */
  get dataDirectory(): string {
    const given = this.options.dataDir ?? this.environment.ALTO_DATA_DIR;
    if (given) return resolve(given);
    return process.getuid?.() === 0 ? '/var/lib/alto' : join(homedir(), '.alto');
  }

  get agent(): LocalAgent {
    return new LocalAgent(this.dataDirectory);
  }

  get configurationPath(): string {
    return configurationPath(this.environment);
  }

  get project(): string {
    if (this.options.project !== undefined) return this.options.project;
    return (this.onlyHere ? undefined : (this.environment.ALTO_PROJECT ?? this.configuration().project)) ?? 'default';
  }

  /**
   * @param interrupted ends every call that is under way, with its reason
   * @throws CommandError where no key is to be found.
   */
  async client(interrupted?: AbortSignal): Promise<AltoClient> {
    const { url, key, local } = await this.destination();
    const options = {
      baseUrl: url,
      apiKey: key,
      ...(local && { fetch: localFetch(() => this.agent.gatewaySockets()) }),
    };
    return interrupted === undefined ? new AltoClient(options) : new InterruptibleClient(options, interrupted);
  }

  /** By login or the environment: an Alto is known besides any that was started on this machine. */
  get hasChosenKey(): boolean {
    return this.chosenKey(this.chosenUrl()) !== undefined;
  }

  /** Also where there is no key yet. */
  async url(): Promise<string> {
    return this.chosenUrl() ?? (await this.localUrl());
  }

  /** The proxy in front of the apps, where the Alto that is talked to is the one of this machine. */
  async localProxy(): Promise<{ port: number; domain: string } | undefined> {
    const { local } = await this.destination();
    const port = local ? (await this.agent.publicPorts())?.apps : undefined;
    return port === undefined ? undefined : { port, domain: this.environment.ALTO_APPS_DOMAIN ?? 'localhost' };
  }

  private async destination(): Promise<{ url: string; key: string; local: boolean }> {
    const url = this.chosenUrl();
    const key = this.chosenKey(url);
    if (url !== undefined && key !== undefined) return { url, key, local: false };
    const localUrl = await this.localUrl();
    if (key !== undefined) return { url: localUrl, key, local: true };
    // It may do anything here: nobody else gets to see it.
    const isHere = url === undefined || isSameOnLoopback(url, localUrl);
    const localKey = isHere ? this.localKey() : undefined;
    if (localKey === undefined) throw noKey(this.dataDirectory, isHere ? undefined : url);
    return { url: localUrl, key: localKey, local: true };
  }

  private chosenUrl(): string | undefined {
    if (this.onlyHere) return undefined;
    return this.options.url ?? this.environment.ALTO_URL ?? this.configuration().url;
  }

  private chosenKey(url: string | undefined): string | undefined {
    if (this.onlyHere) return undefined;
    const { url: savedUrl, key: savedKey } = this.configuration();
    return this.environment.ALTO_API_KEY ?? (isSame(url, savedUrl) ? savedKey : undefined);
  }

  /** The agent knows best: what the environment says may be meant for its next start. */
  private async localUrl(): Promise<string> {
    const port = (await this.agent.publicPorts())?.api ?? this.environment.ALTO_API_PORT;
    return port === undefined ? defaultUrl : `http://127.0.0.1:${port}`;
  }

  private localKey(): string | undefined {
    const file = join(this.dataDirectory, 'keys', 'admin.key');
    try {
      return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
    } catch {
      return undefined;
    }
  }

  private configuration(): Configuration {
    return readConfiguration(this.configurationPath);
  }
}

function isSame(url: string | undefined, saved: string | undefined): boolean {
  return url === undefined || (saved !== undefined && withoutSlashes(url) === withoutSlashes(saved));
}

const withoutSlashes = (url: string) => url.replace(/\/+$/, '');

const loopback = ['127.0.0.1', 'localhost', '[::1]'];

/** @param local address of the Alto of this machine; another name for it leads there too */
function isSameOnLoopback(url: string, local: string): boolean {
  const named = URL.parse(url);
  if (named === null || !loopback.includes(named.hostname)) return false;
  named.hostname = new URL(local).hostname;
  return withoutSlashes(named.href) === withoutSlashes(new URL(local).href);
}

/** @param url that was chosen, where it is not that of this machine's Alto */
function noKey(dataDirectory: string, url: string | undefined): CommandError {
  const other =
    url === undefined ? `no Alto has been started in ${dataDirectory}` : `${url} is not the Alto of this machine`;
  return new CommandError(
    `There is no API key: none was saved by \`alto login\`, and ${other}.`,
    'Start one with `alto up`, or log in to one with `alto login --url <url>`, which asks for the key.',
    exitCodes.refused,
  );
}
